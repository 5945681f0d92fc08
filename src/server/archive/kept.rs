//! One artifact of an earlier generation: its name, for whom it was, and how long it stays.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::catalogue::{Artifact, ArtifactPath, Audience, Sensitivity, Sha256};
use crate::ids::MacAddr;
use crate::inventory::Inventory;

#[derive(Debug, Clone)]
pub struct Kept {
    pub path: ArtifactPath,
    pub sha256: Sha256,
    pub size: usize,
    pub sensitivity: Sensitivity,
    pub audience: Audience,
    pub machines: Machines,
    /// None: still current, recorded so that it can be answered with after a restart.
    pub expiry: Option<Expiry>,
    pub content: Content,
}

/// Of a secret: the machines of its audience while it was current. By them a host is known that was renamed, has moved or
/// has left the inventory since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machines {
    pub addresses: BTreeSet<IpAddr>,
    pub macs: BTreeSet<MacAddr>,
}

#[derive(Debug, Clone)]
pub enum Content {
    Memory(Bytes),
    StateDir,
}

/// Decided by the monotonic clock, so that a router whose clock jumps from 1970 to now keeps its promise; the wall
/// clock is only for the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    at: Instant,
    pub unix_seconds: u64,
}

impl Expiry {
    pub fn after(time: Duration) -> Self {
        let then = SystemTime::now() + time;
        let unix_seconds = then.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Expiry { at: Instant::now() + time, unix_seconds }
    }

    /// From an index that another process wrote, read `now`: never longer than a full term, whatever the clocks said.
    /// What was replaced together stays together, so all of an index is read at one time.
    pub fn recorded(unix_seconds: u64, at_most: Duration, now: (Instant, SystemTime)) -> Self {
        let then = UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds));
        let left = then.and_then(|then| then.duration_since(now.1).ok());
        Expiry { at: now.0 + left.unwrap_or_default().min(at_most), unix_seconds }
    }

    pub fn is_over(&self) -> bool {
        self.at <= Instant::now()
    }
}

/// Those whose secret it is, by this inventory. One for everyone is for every host.
pub fn machines(artifact: &Artifact, inventory: &Inventory) -> Machines {
    let hosts =
        inventory.hosts.iter().filter(|host| artifact.is_secret() && artifact.audience.includes(&host.name));
    let hosts: Vec<_> = hosts.collect();
    Machines {
        addresses: hosts.iter().flat_map(|host| host.addresses.iter().copied()).collect(),
        macs: hosts.iter().flat_map(|host| host.macs.iter().copied()).collect(),
    }
}
