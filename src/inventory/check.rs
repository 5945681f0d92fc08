//! From the inventory as written to the checked one: defaults filled in, everything compared with everything.
//!
//! All rules run, whatever the others found; the model is built only when there is no error.

mod extra_config;
mod fcos;
mod hosts;
mod keepalived;
mod network;
mod offline;
mod updates;

use std::cell::RefCell;

use crate::ids::{HostName, Priority};
use crate::report::{Finding, Report};

use super::model::{Host, Inventory, K3s, Network, Phase, Restore, Router, Selinux, Vips};
use super::raw;

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
    let extra_config = extra_config::check(&raw.k3s, &checker);
    check_wildcards(&raw.k3s, &checker);
    let phase = phase(&raw, &priorities, &checker);
    let fcos = fcos::build(&raw, &settings, &checker);
    let hosts = hosts::build(&raw.hosts, settings, &priorities, bootstrap_host.as_ref(), &checker);
    check_agent_token(&raw.k3s, &hosts, &checker);
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
            agent_token: k3s.agent_token,
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

/// The servers' token makes its holder the cluster's administrator (docs/decisions/0017), so no worker gets it.
fn check_agent_token(k3s: &raw::K3s, hosts: &[Host], checker: &Checker<'_>) {
    let Some(worker) = hosts.iter().find(|host| !host.is_control_plane()) else { return };
    let (Some(token), None) = (&k3s.token, &k3s.agent_token) else { return };
    let help = "add `agent_token: {file: secrets/k3s-agent-token}`, made with `openssl rand -hex 32`; on servers that run already it must be first: docs/day2.md, \"An agent token for a running cluster\"";
    let message = format!("{} is a worker, and k3s.agent_token is missing", worker.name);
    checker.push(token.error(message).help(help));
}

/// A name that k3s leaves out of its certificate helps nobody.
fn check_wildcards(k3s: &raw::K3s, checker: &Checker<'_>) {
    let Some(version) = k3s.version.as_ref().filter(|version| !version.value.shows_wildcards()) else {
        return;
    };
    for san in k3s.tls_san.iter().filter(|san| san.value.0.starts_with("*.")) {
        let message = format!("k3s {} leaves wildcards out of its certificate", version.value);
        let help = "v1.36.3 and later put them there; with this release list the names one by one";
        checker.push(san.error(message).help(help));
    }
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

/// A priority for the host at `place` of the servers: 100, 90, 80 …, closer together when there are more than ten.
fn usual_priority(place: usize, servers: usize) -> Option<Priority> {
    let step = if servers <= 10 { 10 } else { (99 / servers).max(1) };
    Priority::new(100_i64 - i64::try_from(place * step).ok()?).ok()
}
