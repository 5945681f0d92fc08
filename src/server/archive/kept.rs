//! One artifact of an earlier generation: its name, for whom it was, and how long it stays.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::catalogue::{Artifact, ArtifactPath, Audience, Digest, Sensitivity, Sha256};
use crate::inventory::Inventory;

#[derive(Debug, Clone)]
pub struct Kept {
    pub path: ArtifactPath,
    pub sha256: Sha256,
    pub size: usize,
    pub sensitivity: Sensitivity,
    pub audience: Audience,
    /// Of a secret: where its audience was while it was current. A host that has left the inventory is known by them.
    pub addresses: BTreeSet<IpAddr>,
    /// None: still current, recorded so that it can be answered with after a restart.
    pub expiry: Option<Expiry>,
    pub content: Content,
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

    /// From an index that another process wrote: never longer than a full term, whatever the clocks said.
    pub fn recorded(unix_seconds: u64, at_most: Duration) -> Self {
        let then = UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds));
        let left = then.and_then(|then| then.duration_since(SystemTime::now()).ok());
        Expiry { at: Instant::now() + left.unwrap_or_default().min(at_most), unix_seconds }
    }

    pub fn is_over(&self) -> bool {
        self.at <= Instant::now()
    }
}

/// The forms in which an artifact is served, by digest.
pub fn forms(artifact: &Artifact) -> impl Iterator<Item = (Digest, &Bytes)> {
    let lower = artifact.alternative.as_ref().map(|lower| (lower.digest, &lower.bytes));
    std::iter::once((*artifact.digest(), artifact.bytes())).chain(lower)
}

/// The addresses of those whose secret it is, by this inventory. One for everyone is for every host.
pub fn addresses(artifact: &Artifact, inventory: &Inventory) -> BTreeSet<IpAddr> {
    let hosts = inventory.hosts.iter().filter(|host| artifact.audience.includes(&host.name));
    hosts.filter(|_| artifact.is_secret()).flat_map(|host| host.addresses.iter().copied()).collect()
}
