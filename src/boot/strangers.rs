//! Machines that asked for a boot script and are nobody: what they said, so that an operator can add them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Machine, Moment};

/// A rack of new machines. Whoever makes up more pushes the longest silent out.
const STRANGERS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranger {
    #[serde(flatten)]
    pub machine: Machine,
    pub address: IpAddr,
    pub first_seen: Moment,
    pub last_seen: Moment,
    /// Why it is nobody: the facts of two hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflict: Vec<String>,
}

/// In memory only: they ask again and again.
#[derive(Debug, Clone, Default)]
pub struct Strangers {
    seen: BTreeMap<Machine, Stranger>,
}

impl Strangers {
    /// Whether it is seen for the first time.
    pub fn see(&mut self, machine: &Machine, address: IpAddr, conflict: Vec<String>, now: Moment) -> bool {
        let is_new = !self.seen.contains_key(machine);
        let first_seen = self.seen.get(machine).map_or(now, |stranger| stranger.first_seen);
        let stranger = Stranger { machine: machine.clone(), address, first_seen, last_seen: now, conflict };
        self.seen.insert(machine.clone(), stranger);
        if self.seen.len() > STRANGERS_MAX {
            let oldest =
                self.seen.iter().filter(|(other, _)| *other != machine).min_by_key(|(_, s)| s.last_seen);
            if let Some(oldest) = oldest.map(|(machine, _)| machine.clone()) {
                self.seen.remove(&oldest);
            }
        }
        is_new
    }

    /// The latest first.
    pub fn latest(&self) -> Vec<Stranger> {
        let mut all: Vec<Stranger> = self.seen.values().cloned().collect();
        all.sort_by_key(|stranger| std::cmp::Reverse(stranger.last_seen));
        all
    }
}
