//! The server's behaviour on the wire, with generations made by hand and real sockets on loopback.

mod client;
mod site;

mod artifacts;
