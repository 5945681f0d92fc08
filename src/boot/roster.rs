//! All hosts as an operator sees them: what each would boot now and why, and what happened to it.

use serde::{Deserialize, Serialize};

use crate::ids::HostName;
use crate::inventory::{BootPolicy, Inventory};

use super::decision::{in_force, is_new};
use super::{
    Choice, Decision, History, HostHistory, Identity, Machine, Moment, Stage, Stranger, Strangers, Trouble,
    decide, identify,
};

/// What `GET /pxe/hosts` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// Why the last edit is not served; the hosts are those of what is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// Why hosts may be installed that no install is known of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// What is wrong with the cluster's snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<String>,
    pub hosts: Vec<HostEntry>,
    pub unknown: Vec<Stranger>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    pub name: HostName,
    /// `boot` in the inventory.
    pub policy: String,
    pub boots: Choice,
    pub why: String,
    /// No install of it is known, and nobody has armed it.
    #[serde(default)]
    pub is_new: bool,
    /// What keeps it from being a healthy member of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    #[serde(flatten)]
    pub history: HostHistory,
}

pub fn roster(inventory: &Inventory, history: &History, strangers: &Strangers, now: Moment) -> Roster {
    let hosts = inventory.hosts.iter().map(|host| {
        let Decision { boots, why, .. } = decide(inventory, host, history, now);
        let mut known = history.of(host.name.as_str()).cloned().unwrap_or_default();
        // What is over arms nobody.
        known.armed = in_force(&known, now).copied();
        let policy = policy_name(host.boot).to_owned();
        let is_new = is_new(host, history, now);
        let trouble = trouble(history, &host.name, now);
        HostEntry { name: host.name.clone(), policy, boots, why, is_new, trouble, history: known }
    });
    // Some are somebody since the inventory was edited.
    let is_host = |machine: &Machine| matches!(identify(inventory, machine), Identity::Host(_));
    let unknown = strangers.latest().into_iter().filter(|stranger| !is_host(&stranger.machine));
    let doubt = history.doubt.as_ref().map(ToString::to_string);
    Roster { broken: None, doubt, snapshots: None, hosts: hosts.collect(), unknown: unknown.collect() }
}

/// What a host hangs at. A second cluster is worse than whatever else failed.
pub fn trouble(history: &History, host: &HostName, now: Moment) -> Option<Trouble> {
    let known = history.of(host.as_str())?;
    let progress = known.progress.as_ref()?;
    match history.stray(host).filter(|_| progress.stage == Stage::Joined) {
        Some(reason) => Some(Trouble { since: progress.since, reason, said: Vec::new() }),
        None => progress.trouble(now),
    }
}

fn policy_name(policy: BootPolicy) -> &'static str {
    match policy {
        BootPolicy::InstallOnce => "install_once",
        BootPolicy::Install => "install",
        BootPolicy::Live => "live",
        BootPolicy::Local => "local",
    }
}
