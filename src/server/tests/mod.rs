//! The server's behaviour on the wire, with generations made by hand and real sockets on loopback.

mod client;
mod site;

mod artifacts;
mod connections;
mod listings;
mod logging;
mod negotiation;
mod paths;
mod pinning;
mod reloading;
mod secrets;
mod state_dir;
mod static_files;
