//! Choices about the living cluster, as functions of what was asked and found out: no sockets, no clock.

mod certificate;
mod failure;

pub use certificate::{Certificate, San, UnixSeconds};
pub use failure::{Failure, Stage};

/// Where every k3s server has its API.
pub const API_PORT: u16 = 6443;
