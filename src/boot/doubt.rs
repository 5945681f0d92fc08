//! Why a host that no install is known of may be installed all the same.

use std::fmt;

use crate::ids::{HostName, MacAddr};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// A restart forgets who is installed.
    NothingKept,
    /// Something of what was kept is lost.
    Damaged,
    /// Another name has this MAC in its history, and is installed, or was on its way.
    Renamed { mac: MacAddr, before: HostName },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NothingKept => f.write_str("nothing is remembered without --state-dir"),
            Doubt::Damaged => f.write_str("the journal was damaged, see journal.damaged"),
            Doubt::Renamed { mac, before } => write!(f, "{mac} was {before}, which was installed"),
        }
    }
}
