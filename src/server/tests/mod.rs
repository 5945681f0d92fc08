//! The server's behaviour on the wire, with generations made by hand and real sockets on loopback.

mod asking;
mod client;
pub(super) mod site;

mod artifacts;
mod booting;
mod connections;
mod fleetlock;
mod listings;
mod logging;
mod negotiation;
mod operating;
mod paths;
mod pinning;
mod reloading;
mod reports;
mod secrets;
mod snapshots;
mod state_dir;
mod static_files;
