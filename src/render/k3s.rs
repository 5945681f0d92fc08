//! k3s' configuration of one node: `tls-san` complete on every server, everything that servers must agree on from one place.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::inventory::{Host, Inventory, Phase, Selinux};

use super::boots::Boot;

/// What `k3s-install.sh` installs.
pub fn mode(host: &Host) -> &'static str {
    if host.is_control_plane() { "server" } else { "agent" }
}

/// `/etc/rancher/k3s/config.yaml`, in the order it is read by people. `has_agent_token_file`: servers have a token for
/// workers.
pub fn config(inventory: &Inventory, boot: &Boot<'_>, has_agent_token_file: bool) -> Map<String, Value> {
    let k3s = &inventory.k3s;
    let mut config = Map::new();
    // The node's name is the host's, whether DHCP calls it lenovo1 or lenovo1.lab.internal.
    config.insert("node-name".into(), boot.host.name.as_str().into());
    // Both addresses of a host that has two: k3s takes that in clusters of either kind, and refuses one address where
    // the cluster's networks are of both families (validation of cluster-cidr and node-ip in its network policies).
    let addresses: Vec<String> = boot.host.addresses.iter().map(|address| address.to_string()).collect();
    config.insert("node-ip".into(), addresses.join(",").into());
    if !boot.host.labels.is_empty() {
        let labels = boot.host.labels.iter().map(|(key, value)| format!("{key}={value}"));
        config.insert("node-label".into(), labels.collect::<Vec<_>>().into());
    }
    config.insert("token-file".into(), "/etc/rancher/k3s/cluster-token".into());
    // Off by default since k3s 1.19; without it containerd starts every container without a label of its own. Servers and
    // agents alike (k3s' documentation, "SELinux Support").
    if k3s.selinux != Selinux::None {
        config.insert("selinux".into(), true.into());
    }
    if boot.host.is_control_plane() && has_agent_token_file {
        config.insert("agent-token-file".into(), "/etc/rancher/k3s/agent-token".into());
    }
    match boot.phase {
        // k3s refuses `cluster-reset` beside `server` (k3s#8488), and has etcd, not SQLite, only with one of the two.
        Phase::Bootstrap | Phase::Restore => config.insert("cluster-init".into(), true.into()),
        Phase::Reinstall => config.insert("server".into(), server_url(inventory, boot.host).into()),
    };
    if boot.host.is_control_plane() {
        add_server_settings(inventory, &mut config);
        add_extra(&k3s.extra_config, &mut config);
    }
    config
}

/// The names and addresses of `tls-san` as openssl prints them: IPv6 addresses in capitals, without leading zeros, and
/// no group left out.
pub fn tls_san_by_openssl(inventory: &Inventory) -> Vec<String> {
    let printed = |name: &String| match name.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => format!("IP Address:{address}"),
        Ok(IpAddr::V6(address)) => {
            let groups = address.segments().map(|group| format!("{group:X}"));
            format!("IP Address:{}", groups.join(":"))
        }
        Err(_) => format!("DNS:{name}"),
    };
    inventory.tls_san().iter().map(printed).collect()
}

/// The user's own keys. What we have as a list is added to: without our `kube-apiserver-arg`, `/readyz` would answer 401
/// and no node would ever be healthy. k3s takes `key` and `key+` for the same within one file.
fn add_extra(extra: &Map<String, Value>, config: &mut Map<String, Value>) {
    for (key, value) in extra {
        match (config.get_mut(key.trim_end_matches('+')), value) {
            (Some(Value::Array(ours)), Value::Array(theirs)) => ours.extend(theirs.iter().cloned()),
            (Some(Value::Array(ours)), single) => ours.push(single.clone()),
            _ => drop(config.insert(key.clone(), value.clone())),
        }
    }
}

/// "Critical configuration values": k3s refuses a server whose cluster-cidr, service-cidr, cluster-dns, cluster-domain,
/// disable-cloud-controller, disable-helm-controller, disable-network-policy, `servicelb` in disable, egress-selector-mode,
/// embedded-registry, flannel-backend, flannel-external-ip, flannel-ipv6-masq, secrets-encryption or its provider differ from
/// the cluster's (`CriticalControlArgs`). All come from one place for all servers, `extra_config` too, so they agree.
fn add_server_settings(inventory: &Inventory, config: &mut Map<String, Value>) {
    let k3s = &inventory.k3s;
    config.insert("tls-san".into(), inventory.tls_san().into());
    if !k3s.disable.is_empty() {
        config.insert("disable".into(), json!(k3s.disable));
    }
    if let Some(cidr) = k3s.cluster_cidr {
        config.insert("cluster-cidr".into(), cidr.to_string().into());
    }
    if let Some(cidr) = k3s.service_cidr {
        config.insert("service-cidr".into(), cidr.to_string().into());
    }
    if let Some(snapshots) = &k3s.snapshots {
        let cron = format!("0 */{} * * *", snapshots.every_hours);
        config.insert("etcd-snapshot-schedule-cron".into(), cron.into());
    }
    if k3s.version.has_authentication_config() {
        let mut arguments = vec!["authentication-config=/etc/rancher/k3s/authentication-config.yaml"];
        if k3s.version.needs_anonymous_auth_gate() {
            arguments.push("feature-gates=AnonymousAuthConfigurableEndpoints=true");
        }
        config.insert("kube-apiserver-arg".into(), arguments.into());
    }
}

/// Where a node joins: the VIP, which is some server that is up. While the cluster begins, no server is healthy yet and
/// nobody holds the VIP; then the others wait for the one that begins it. Port 6443 is k3s' own.
fn server_url(inventory: &Inventory, host: &Host) -> String {
    let first = inventory.host(inventory.k3s.bootstrap_host.as_str());
    let first = first.filter(|first| inventory.k3s.phase.begins() && first.name != host.name);
    match first.map_or(inventory.vips.primary(), Host::address) {
        IpAddr::V4(address) => format!("https://{address}:6443"),
        IpAddr::V6(address) => format!("https://[{address}]:6443"),
    }
}
