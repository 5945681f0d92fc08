//! Choices about the living cluster, as functions of what was asked and found out: no sockets, no clock.

mod certificate;
mod choice;
mod failure;
mod kubeconfig;
mod merge;

pub use certificate::{Certificate, San, UnixSeconds};
pub use choice::{Candidate, Choice, Host, Outcome, Steady, Via, candidates, choose, resolved_vip};
pub use failure::{Failure, Stage};
pub use kubeconfig::{Access, SOON_DAYS};

/// Where every k3s server has its API.
pub const API_PORT: u16 = 6443;
