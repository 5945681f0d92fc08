//! `GET /pxe/snapshots`, for the operator: what is kept, and whether it is too old.

use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use crate::boot::Moment;
use crate::catalogue::Sha256;
use crate::ids::{HostName, SnapshotName};
use crate::inventory::Inventory;

use super::super::caller::Caller;
use super::super::journal::now;
use super::super::refusal::Refusal;
use super::super::state::ServerState;
use super::Snapshots;
use super::refusal::SnapshotRefusal;
use super::store::Kept;

/// What `GET /pxe/snapshots` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotList {
    /// What to worry about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The newest first.
    pub snapshots: Vec<SnapshotEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    pub host: HostName,
    pub name: SnapshotName,
    pub taken: Moment,
    pub bytes: u64,
    pub sha256: Sha256,
}

pub async fn list(state: &ServerState, caller: &Caller) -> Result<Response, Refusal> {
    let served = state.status().served()?;
    let inventory = &served.generation.inventory;
    caller.must_be_operator(inventory)?;
    let all = state.snapshots.all().await?;
    let warning =
        inventory.k3s.snapshots.and_then(|snapshots| too_old(all.first(), snapshots.every(), now()));
    let snapshots = all.into_iter().map(SnapshotEntry::from).collect();
    // Text and numbers: serde_json has nothing to refuse.
    let body = serde_json::to_string_pretty(&SnapshotList { warning, snapshots }).unwrap_or_default() + "\n";
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// What an operator should know who asks for something else; nothing where no snapshots are asked for.
pub async fn warning(state: &ServerState, inventory: &Inventory) -> Result<Option<String>, SnapshotRefusal> {
    let Some(snapshots) = inventory.k3s.snapshots else { return Ok(None) };
    let all = state.snapshots.all().await?;
    Ok(too_old(all.first(), snapshots.every(), now()))
}

impl Snapshots {
    /// The newest first.
    pub async fn all(&self) -> Result<Vec<Kept>, SnapshotRefusal> {
        let store = self.store()?.clone();
        // An error is the runtime shutting down.
        let read =
            tokio::task::spawn_blocking(move || store.list()).await.map_err(|_| SnapshotRefusal::Disk)?;
        read.map_err(|error| SnapshotRefusal::disk(&error))
    }
}

impl From<Kept> for SnapshotEntry {
    fn from(kept: Kept) -> Self {
        let Kept { host, name, sha256, bytes, taken } = kept;
        SnapshotEntry { host, name, taken, bytes, sha256 }
    }
}

/// Why the newest is no longer what a restore should begin with: two were due since.
pub fn too_old(newest: Option<&Kept>, every: Duration, now: Moment) -> Option<String> {
    let hours = every.as_secs() / 3600;
    match newest {
        None => Some("no snapshot has arrived yet: a cluster that is lost now is lost".to_owned()),
        Some(newest) if now.since(newest.taken) > 2 * every => Some(format!(
            "the newest snapshot is of {}, and one is due every {hours} h: a cluster that is lost now comes back as it was then; `journalctl -u pxe-serve-snapshot` on the servers says what is wrong",
            newest.taken
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_too_old_when_two_were_due_since() {
        let taken = Moment::from_unix(1_764_028_800);
        let kept = Kept {
            host: "lenovo1".parse().unwrap(),
            name: "etcd-snapshot-lenovo1-1764028800".parse().unwrap(),
            sha256: Sha256::of(b""),
            bytes: 0,
            taken,
        };
        let every = Duration::from_secs(12 * 3600);
        let after = |hours: u64| too_old(Some(&kept), every, taken.plus(Duration::from_secs(hours * 3600)));
        assert_eq!((after(0), after(24)), (None, None));
        assert!(after(25).unwrap().contains("every 12 h"));
        assert!(too_old(None, every, taken).unwrap().contains("no snapshot"));
        // A node whose clock is ahead.
        assert_eq!(too_old(Some(&kept), every, Moment::from_unix(0)), None);
    }
}
