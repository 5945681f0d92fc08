//! The index file of a state directory: JSON, with a version so that a later format is refused and not misread.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use crate::catalogue::{Audience, Sensitivity};

use super::kept::{Content, Expiry, Kept, Machines};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u32,
    artifacts: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    sha256: String,
    size: usize,
    secret: bool,
    /// None: everyone.
    hosts: Option<Vec<String>>,
    addresses: BTreeSet<IpAddr>,
    /// Not there in an index of earlier days.
    #[serde(default)]
    macs: BTreeSet<String>,
    /// None: current when this was written.
    expires_unix_seconds: Option<u64>,
}

pub fn to_json(entries: &[&Kept]) -> Vec<u8> {
    let artifacts =
        entries.iter().filter(|kept| matches!(kept.content, Content::StateDir)).map(|kept| Entry {
            path: kept.path.to_string(),
            sha256: kept.sha256.to_string(),
            size: kept.size,
            secret: kept.sensitivity == Sensitivity::Secret,
            hosts: match &kept.audience {
                Audience::Everyone => None,
                Audience::Hosts(hosts) => Some(hosts.iter().map(|host| host.to_string()).collect()),
            },
            addresses: kept.machines.addresses.clone(),
            macs: kept.machines.macs.iter().map(|mac| mac.to_string()).collect(),
            expires_unix_seconds: kept.expiry.map(|expiry| expiry.unix_seconds),
        });
    let index = Index { version: VERSION, artifacts: artifacts.collect() };
    // Strings and numbers only: serde_json has nothing to refuse.
    serde_json::to_vec(&index).unwrap_or_default()
}

/// All or nothing: an index with one bad entry was not written by us.
pub fn parse(text: &[u8], keep_for: Duration) -> Result<Vec<Kept>, BadIndex> {
    let index: Index = serde_json::from_slice(text)?;
    if index.version != VERSION {
        return Err(BadIndex::Version(index.version));
    }
    let now = (Instant::now(), SystemTime::now());
    index.artifacts.into_iter().map(|entry| kept(entry, keep_for, now).ok_or(BadIndex::Entry)).collect()
}

fn kept(entry: Entry, keep_for: Duration, now: (Instant, SystemTime)) -> Option<Kept> {
    let hosts = match entry.hosts {
        Some(names) => Audience::Hosts(names.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?),
        None => Audience::Everyone,
    };
    let macs = entry.macs.iter().map(|mac| mac.parse().ok()).collect::<Option<_>>()?;
    Some(Kept {
        path: entry.path.parse().ok()?,
        sha256: entry.sha256.parse().ok()?,
        size: entry.size,
        sensitivity: if entry.secret { Sensitivity::Secret } else { Sensitivity::Public },
        audience: hosts,
        machines: Machines { addresses: entry.addresses, macs },
        expiry: entry.expires_unix_seconds.map(|seconds| Expiry::recorded(seconds, keep_for, now)),
        content: Content::StateDir,
    })
}

#[derive(Debug, thiserror::Error)]
pub enum BadIndex {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("it is of version {0}, this program reads {VERSION}")]
    Version(u32),
    #[error("an entry has a path, digest, host name or MAC that is none")]
    Entry,
}
