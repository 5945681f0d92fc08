//! From the inventory as written to the checked one: defaults filled in, everything compared with everything.
//!
//! All rules run, whatever the others found; the model is built only when there is no error.

mod fcos;
mod hosts;
mod keepalived;
mod network;
mod offline;
mod updates;

use std::cell::RefCell;

use crate::document::At;
use crate::ids::{HostName, Priority};
use crate::report::{Finding, Report};

use super::model::{Inventory, K3s, Network, Phase, Restore, Router, Selinux, Vips};
use super::raw;

/// Keys of k3s' config.yaml that pxe-serve writes itself, and where to say them instead.
const OUR_K3S_KEYS: &[(&str, &str)] = &[
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

/// Where rules put what they find.
pub(super) struct Checker<'r> {
    report: &'r RefCell<Report>,
}

impl Checker<'_> {
    fn push(&self, finding: Finding) {
        self.report.borrow_mut().push(finding);
    }
}

/// The checked inventory, or `None` with at least one error in the report.
pub fn check(mut raw: raw::Inventory, report: &RefCell<Report>) -> Option<Inventory> {
    let checker = Checker { report };
    let settings = hosts::settings_of(&raw, &checker);
    hosts::check_identities(&raw.hosts, &checker);
    network::check(&raw, &checker);
    let priorities = hosts::priorities(&raw.hosts, &settings, &checker);
    let bootstrap_host = bootstrap_host(&raw, &priorities, &checker);
    keepalived::check(&raw, priorities.len(), &checker);
    let extra_config = check_k3s(&raw, &checker);
    let phase = phase(&raw, &priorities, &checker);
    let fcos = fcos::build(&raw, &settings, &checker);
    let hosts = hosts::build(&raw.hosts, settings, &priorities, bootstrap_host.as_ref(), &checker);
    let offline = offline::offline(&raw.k3s, &hosts, &checker);
    let updates = updates::build(std::mem::take(&mut raw.updates), priorities.len(), &checker);
    if report.borrow().has_errors() {
        return None;
    }
    for key in &raw.ssh_authorized_keys {
        if key.value.as_str().ends_with(EXAMPLE_KEY) {
            let help = "put your own there, such as that of ~/.ssh/id_ed25519.pub";
            checker.push(key.note("with the key of the example nobody can enter a node").help(help));
        }
    }
    let raw::Inventory { vips, router, network, ssh_authorized_keys, keepalived, k3s, .. } = raw;
    Some(Inventory {
        vips: Vips {
            control_planes: vips.control_planes.into_iter().map(|vip| vip.value).collect(),
            workers: vips.workers.map(|vip| vip.value),
        },
        router: Router {
            base_url: router.base_url?.value,
            network: match router.network {
                Some(network) => network.value,
                None => "lan".parse().ok()?,
            },
            tftp_root: router.tftp_root.map(|root| root.value),
            forwarding: router.forwarding.into_iter().map(|forwarding| forwarding.value).collect(),
        },
        network: Network {
            cidrs: network.cidrs.into_iter().map(|cidr| cidr.value).collect(),
            domain: network.domain.map(|domain| domain.value),
            control_planes_name: network.control_planes_name.map(|name| name.value),
            dhcp_range: network.dhcp_range.map(|range| range.value),
        },
        ssh_authorized_keys: ssh_authorized_keys.into_iter().map(|key| key.value).collect(),
        keepalived: keepalived::build(keepalived)?,
        k3s: K3s {
            version: k3s.version?.value,
            token: k3s.token?,
            tls_san: k3s.tls_san.into_iter().map(|san| san.value.0).collect(),
            disable: k3s.disable.into_iter().map(|component| component.value).collect(),
            cluster_cidr: k3s.cluster_cidr.map(|cidr| cidr.value),
            service_cidr: k3s.service_cidr.map(|cidr| cidr.value),
            extra_config,
            bootstrap_host: bootstrap_host?,
            phase,
            selinux: k3s.selinux.map_or(Selinux::None, |selinux| selinux.value),
            restore: k3s.restore.map_or(Restore::Newest, |restore| restore.value),
            snapshots: k3s.snapshots.map(|snapshots| snapshots.value),
            offline,
        },
        fcos: fcos?,
        updates,
        hosts,
    })
}

fn bootstrap_host(
    raw: &raw::Inventory,
    priorities: &hosts::Priorities,
    checker: &Checker<'_>,
) -> Option<HostName> {
    let servers: Vec<&HostName> =
        raw.hosts.iter().map(|host| &host.name.value).filter(|name| priorities.contains_key(*name)).collect();
    match &raw.k3s.bootstrap_host {
        Some(name) if servers.contains(&&name.value) => Some(name.value.clone()),
        Some(name) => {
            let known: Vec<&str> = servers.iter().map(|server| server.as_str()).collect();
            let help = crate::document::suggest(name.value.as_str(), &known)
                .unwrap_or_else(|| format!("choose one of {}", known.join(", ")));
            checker
                .push(name.error(format!("{} is no control plane of this inventory", name.value)).help(help));
            None
        }
        None => servers.first().map(|name| (*name).clone()),
    }
}

/// Whoever reinstalls the only server has no cluster left to join.
fn phase(raw: &raw::Inventory, priorities: &hosts::Priorities, checker: &Checker<'_>) -> Phase {
    if let Some(restore) = &raw.k3s.restore
        && raw.k3s.phase.as_ref().is_none_or(|phase| phase.value != Phase::Restore)
    {
        checker.push(restore.note("counts only with `phase: restore`").help("leave it out until then"));
    }
    let is_alone = priorities.len() == 1;
    match &raw.k3s.phase {
        Some(phase) if is_alone && phase.value == Phase::Reinstall => {
            let help = "write bootstrap, or leave the phase out: a single server starts its cluster anew";
            checker.push(phase.warning("the only server would wait for another one to join").help(help));
            phase.value
        }
        Some(phase) if phase.value == Phase::Restore => {
            let help = "once the cluster runs, write reinstall";
            let first =
                "the first server comes back from a snapshot, once it is armed, and the others join it";
            checker.push(phase.note(first).help(help));
            phase.value
        }
        Some(phase) if !is_alone && phase.value == Phase::Bootstrap => {
            let help = "once the cluster runs, write reinstall; `pxe-serve show HOST` then prints what to delete in the cluster before a reinstall";
            checker
                .push(phase.note("the first server starts a new cluster, and the others join it").help(help));
            phase.value
        }
        Some(phase) => phase.value,
        None if is_alone => Phase::Bootstrap,
        None => Phase::Reinstall,
    }
}

/// How the key of the shipped inventory ends.
const EXAMPLE_KEY: &str = " example-put-your-own-key-here";

/// Arguments that would take away what opens `/readyz`: no node would be healthy, and nobody would hold the VIP.
fn check_api_server_arguments(key: &At<String>, value: &serde_json::Value, checker: &Checker<'_>) {
    let one = std::slice::from_ref(value);
    for argument in value.as_array().map_or(one, Vec::as_slice).iter().filter_map(serde_json::Value::as_str) {
        let name = argument.split('=').next().unwrap_or_default();
        if ["anonymous-auth", "authentication-config"].contains(&name) {
            let help = "leave it out: the health check needs the file that pxe-serve renders; to change that file, replace its template";
            checker.push(
                key.error(format!("{name} would take away what opens /readyz to the health check"))
                    .help(help),
            );
        }
    }
}

fn check_k3s(raw: &raw::Inventory, checker: &Checker<'_>) -> serde_json::Map<String, serde_json::Value> {
    let mut extra = serde_json::Map::new();
    for (key, value) in &raw.k3s.extra_config {
        let plain = key.value.trim_end_matches('+');
        if let Some((_, instead)) = OUR_K3S_KEYS.iter().find(|(ours, _)| *ours == plain) {
            let help = format!(
                "say it in {instead}; k3s takes the last of two values, and servers that differ do not join"
            );
            checker.push(key.error("pxe-serve writes this key itself").help(help));
        }
        if raw.k3s.snapshots.is_some() && SNAPSHOT_KEYS.contains(&plain) {
            let help = "leave it out, and write k3s.snapshots as `{to: router, every_hours: 6}` for another schedule";
            checker.push(key.error("contradicts k3s.snapshots").help(help));
        }
        if plain == "kube-apiserver-arg"
            && raw.k3s.version.as_ref().is_some_and(|version| version.value.has_authentication_config())
        {
            check_api_server_arguments(key, value, checker);
        }
        extra.insert(key.value.clone(), value.clone());
    }
    extra
}

/// A priority for the host at `place` of the servers: 100, 90, 80 …, closer together when there are more than ten.
fn usual_priority(place: usize, servers: usize) -> Option<Priority> {
    let step = if servers <= 10 { 10 } else { (99 / servers).max(1) };
    Priority::new(100_i64 - i64::try_from(place * step).ok()?).ok()
}
