//! `k3s.extra_config`: keys for k3s' `config.yaml` on every server. Refused is what pxe-serve writes itself, and what would
//! end the cluster or its VIP; a key that k3s does not know gets a warning, since k3s logs it and goes on.

use crate::document::{At, suggest};
use crate::ids::K3sVersion;
use crate::inventory::k3s_keys::{self, Known};
use crate::inventory::raw;

use super::Checker;

/// Keys of k3s' config.yaml that pxe-serve writes itself, and where to say them instead.
const OUR_K3S_KEYS: &[(&str, &str)] = &[
    ("agent-token-file", "k3s.agent_token"),
    ("cluster-cidr", "k3s.cluster_cidr"),
    ("cluster-init", "k3s.phase"),
    ("disable", "k3s.disable"),
    ("node-ip", "hosts.NAME.address"),
    ("node-label", "hosts.NAME.labels"),
    ("node-name", "the host's own name"),
    ("selinux", "k3s.selinux"),
    ("server", "vips.control_planes"),
    ("service-cidr", "k3s.service_cidr"),
    ("tls-san", "k3s.tls_san"),
    ("token", "k3s.token"),
    ("token-file", "k3s.token"),
];

/// Keys of k3s' config.yaml that say another thing than `k3s.snapshots`.
const SNAPSHOT_KEYS: &[&str] =
    &["etcd-disable-snapshots", "etcd-snapshot-dir", "etcd-snapshot-schedule-cron"];

/// What the API server takes for `tls-min-version` (k8s.io/component-base, `cli/flag`); with another word k3s does not start.
const TLS_VERSIONS: [&str; 4] = ["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"];

pub fn check(raw: &raw::K3s, checker: &Checker<'_>) -> serde_json::Map<String, serde_json::Value> {
    let mut extra = serde_json::Map::new();
    let version = raw.version.as_ref().map(|version| version.value);
    for (key, value) in &raw.extra_config {
        let plain = key.value.trim_end_matches('+');
        if let Some((_, instead)) = OUR_K3S_KEYS.iter().find(|(ours, _)| *ours == plain) {
            let help = format!(
                "say it in {instead}; k3s takes the last of two values, and servers that differ do not join"
            );
            checker.push(key.error("pxe-serve writes this key itself").help(help));
        } else {
            check_key(key, plain, version, checker);
        }
        if plain == "write-kubeconfig-mode" && value.is_number() {
            let help = "write it in quotes, such as \"0640\": as a number it is converted, and k3s reads other digits";
            checker.push(key.error("a file mode is a text to k3s").help(help));
        }
        if raw.snapshots.is_some() && SNAPSHOT_KEYS.contains(&plain) {
            let help = "leave it out, and write k3s.snapshots as `{to: router, every_hours: 6}` for another schedule";
            checker.push(key.error("contradicts k3s.snapshots").help(help));
        }
        if plain == "kube-apiserver-arg" {
            check_api_server_arguments(key, value, version, checker);
        }
        extra.insert(key.value.clone(), value.clone());
    }
    extra
}

fn check_key(key: &At<String>, plain: &str, version: Option<K3sVersion>, checker: &Checker<'_>) {
    match k3s_keys::lookup(plain) {
        Some(Known::Refused(reason)) => {
            checker.push(key.error(format!("no server may have this key: {reason}")).help("leave it out"));
        }
        Some(Known::Instead(instead)) => {
            checker.push(key.warning("k3s does not know this key, and goes on without it").help(instead));
        }
        Some(Known::Key(since)) => {
            if let Some(version) = version.filter(|version| !version.is_at_least_minor(since)) {
                let help = format!("it is of 1.{since}; some later patches of older minors have it, too");
                checker.push(key.warning(format!("k3s {version} may not know this key yet")).help(help));
            }
        }
        None => {
            let help = suggest(plain, &k3s_keys::names()).unwrap_or_else(|| {
                "docs.k3s.io/cli/server lists them; a key that is newer than 1.37 is right all the same"
                    .into()
            });
            checker.push(key.warning("k3s does not know this key, and goes on without it").help(help));
        }
    }
}

/// Arguments that would take away what opens `/readyz`: no node would be healthy, and nobody would hold the VIP. And one
/// value with which the API server does not start.
fn check_api_server_arguments(
    key: &At<String>,
    value: &serde_json::Value,
    version: Option<K3sVersion>,
    checker: &Checker<'_>,
) {
    let is_open = version.is_some_and(|version| version.has_authentication_config());
    let one = std::slice::from_ref(value);
    for argument in value.as_array().map_or(one, Vec::as_slice).iter().filter_map(serde_json::Value::as_str) {
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        if is_open && ["anonymous-auth", "authentication-config"].contains(&name) {
            let help = "leave it out: the health check needs the file that pxe-serve renders; to change that file, replace its template";
            checker.push(
                key.error(format!("{name} would take away what opens /readyz to the health check"))
                    .help(help),
            );
        }
        if name == "tls-min-version" && !TLS_VERSIONS.contains(&value) {
            let message = format!("the API server does not start with tls-min-version {value:?}");
            checker.push(key.error(message).help(format!("write one of {}", TLS_VERSIONS.join(", "))));
        }
    }
}
