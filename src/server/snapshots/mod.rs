//! Snapshots of the cluster's etcd, which its servers put here: received, kept and given back.
//!
//! A snapshot holds all secrets of the cluster. So it is never listed to the network, and nobody gets one but the operator, and the
//! host that is restored from it.
//! What is kept is whole and is what its sender hashed; of each server the newest few, and never so many that the journal
//! has no room left.
//!
//! One is received at a time, since flash is slow: who comes meanwhile is told to come again. It costs a thread that
//! blocks and some 300 KiB while it lasts.

mod give;
mod list;
mod receive;
mod refusal;
mod store;

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Error;
use super::state_dir::StateDir;

pub use give::{give, newest};
pub use list::{SnapshotEntry, SnapshotList, list, warning};
pub use receive::receive;
pub use refusal::SnapshotRefusal;

use store::Store;

/// What is kept, and whose turn it is to add to it.
#[derive(Debug)]
pub struct Snapshots {
    /// None without `--state-dir`.
    store: Option<Arc<Store>>,
    turn: Arc<Semaphore>,
}

impl Default for Snapshots {
    /// As without `--state-dir`.
    fn default() -> Self {
        Snapshots { store: None, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Snapshots {
    pub fn open(dir: Option<Arc<StateDir>>) -> Result<Self, Error> {
        let store = dir.map(Store::open).transpose()?.map(Arc::new);
        Ok(Snapshots { store, ..Snapshots::default() })
    }

    fn store(&self) -> Result<&Arc<Store>, SnapshotRefusal> {
        self.store.as_ref().ok_or(SnapshotRefusal::NoStateDir)
    }
}
