//! Real keepalived in network namespaces, with the configuration and the health check that pxe-serve renders.
//!
//! A lab is a switch, a node per control plane, and a fake API server on each node. Whatever happens, at most one node
//! holds an address, unless the network is split; a watcher sees every address come and go. Nothing leaves the
//! namespaces, and they end with the processes in them, which end with the test.

mod api;
mod cluster;
mod failures;
mod health;
mod measure;
mod node;
mod ownership;
mod shape;
mod switch;
mod table;
mod timeline;
mod transports;
mod traps;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::tools::have;

const PROGRAMS: &[&str] =
    &["keepalived", "ip", "unshare", "nsenter", "setpriv", "nice", "python3", "openssl", "curl", "bridge"];

/// A lab mostly waits, so several fit on a machine; but the table's figures are measured alone.
static LABS: RwLock<()> = RwLock::new(());

/// `None` where the programs are missing.
fn alone() -> Option<RwLockWriteGuard<'static, ()>> {
    have(PROGRAMS, true).then(|| LABS.write().unwrap_or_else(PoisonError::into_inner))
}

/// As many at once as cargo runs tests, which is one a core.
fn beside_others() -> Option<RwLockReadGuard<'static, ()>> {
    have(PROGRAMS, true).then(|| LABS.read().unwrap_or_else(PoisonError::into_inner))
}
