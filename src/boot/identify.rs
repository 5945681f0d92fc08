//! Which host of the inventory a machine is, by every fact it gives.
//!
//! A fact that nobody has is no contradiction (a new network card, a dock's adapter); facts of two hosts are: to guess
//! would install one host's system on the other's disk.

use crate::ids::HostName;
use crate::inventory::{Host, Inventory};

use super::{Fact, Machine};

#[derive(Debug)]
pub enum Identity<'i> {
    Host(&'i Host),
    Unknown,
    Conflict(Conflict),
}

/// Each fact that names a host, with the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict(Vec<(Fact, HostName)>);

impl Conflict {
    /// `MAC 52:54:00:00:00:01 is lenovo1's`, one for each fact.
    pub fn reasons(&self) -> Vec<String> {
        self.0.iter().map(|(fact, host)| format!("{fact} is {host}'s")).collect()
    }
}

pub fn identify<'i>(inventory: &'i Inventory, machine: &Machine) -> Identity<'i> {
    let facts = machine.facts.iter();
    let known: Vec<(&Fact, &Host)> =
        facts.filter_map(|fact| Some((fact, inventory.hosts.iter().find(|host| has(host, fact))?))).collect();
    let Some((_, host)) = known.first() else { return Identity::Unknown };
    if known.iter().all(|(_, other)| other.name == host.name) {
        return Identity::Host(host);
    }
    Identity::Conflict(Conflict(
        known.into_iter().map(|(fact, host)| (fact.clone(), host.name.clone())).collect(),
    ))
}

/// A UUID counts in both byte orders: SMBIOS 2.6 declared the first three fields little-endian, firmware before it and
/// builds of iPXE that do not look at its version show them as RFC 4122 does, and who copies it from a label or from
/// /sys cannot know which. That one machine's UUID is another's with those bytes swapped does not happen.
fn has(host: &Host, fact: &Fact) -> bool {
    match fact {
        Fact::Mac(mac) => host.macs.contains(mac),
        Fact::Uuid(uuid) => host.uuid.as_ref().is_some_and(|own| own == uuid || *own == uuid.swapped()),
        Fact::Serial(serial) => {
            host.serial.as_ref().is_some_and(|own| own.as_str().eq_ignore_ascii_case(serial.as_str()))
        }
        Fact::Hostname(name) => host.name == *name,
    }
}
