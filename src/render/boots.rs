//! The Ignition configs to make: one for each host, two or three for the one that may begin the cluster.

use crate::inventory::{Host, Inventory, Phase};

use super::templates::Compiled;

/// One Ignition config: a host in a phase, under the name that the seed gave it.
pub struct Boot<'i> {
    pub host: &'i Host,
    /// `lenovo1-bootstrap`, `lenovo1-reinstall`, `lenovo2`.
    pub name: String,
    pub phase: Phase,
    /// Whether `HOST.ign` is this one; then it is served under the host's name as well.
    pub is_current: bool,
}

impl Boot<'_> {
    /// The further name of this boot's files, if they have one.
    pub fn alias(&self) -> Option<&str> {
        let host = self.host.name.as_str();
        (self.is_current && self.name != host).then_some(host)
    }

    /// The user's own template for this config, else for this host; `folder` and `kind` as in `butane/NAME.bu.j2`.
    pub fn template(&self, compiled: &Compiled<'_>, folder: &str, kind: &str) -> Option<String> {
        own_templates(self, folder, kind).into_iter().find(|name| compiled.has(name))
    }
}

/// What its template may be called, the most special first.
pub fn own_templates(boot: &Boot<'_>, folder: &str, kind: &str) -> [String; 2] {
    [boot.name.as_str(), boot.host.name.as_str()].map(|name| format!("{folder}/{name}.{kind}.j2"))
}

pub fn boots(inventory: &Inventory) -> Vec<Boot<'_>> {
    let mut boots = Vec::new();
    for host in &inventory.hosts {
        if host.name == inventory.k3s.bootstrap_host {
            let phases = [
                (Phase::Bootstrap, "bootstrap"),
                (Phase::Restore, "restore"),
                (Phase::Reinstall, "reinstall"),
            ];
            // A restore is rare, and its config says which snapshot: there is one only while it is asked for.
            let is_wanted = |phase| phase != Phase::Restore || inventory.k3s.phase == phase;
            for (phase, word) in phases.into_iter().filter(|(phase, _)| is_wanted(*phase)) {
                let name = format!("{}-{word}", host.name);
                boots.push(Boot { host, name, phase, is_current: phase == inventory.k3s.phase });
            }
        } else {
            boots.push(Boot { host, name: host.name.to_string(), phase: Phase::Reinstall, is_current: true });
        }
    }
    boots
}
