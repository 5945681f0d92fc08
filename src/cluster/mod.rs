//! Choices about the living cluster, as functions of what was asked and found out: no sockets, no clock.

pub mod boot_entries;
mod certificate;
mod failure;
pub mod k3s_config;
pub mod node;
pub mod reinstall;
mod server_state;
pub mod tls_san;
mod token;

pub use certificate::{Certificate, San, UnixSeconds};
pub use failure::{Failure, Stage};
pub use server_state::{LOOK, ServerState};
pub use token::same_token;

/// Where every k3s server has its API.
pub const API_PORT: u16 = 6443;
