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
mod namespace;
mod node;
mod ownership;
mod table;
mod timeline;
mod transports;
mod traps;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::tools::have;

const PROGRAMS: &[&str] =
    &["keepalived", "ip", "unshare", "nsenter", "setpriv", "nice", "python3", "openssl", "curl"];

/// Labs measure time, so there is one at a time. `None` where the programs are missing.
fn alone() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    have(PROGRAMS, true).then(|| ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}
