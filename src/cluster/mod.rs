//! Choices about the living cluster, as functions of what was asked and found out: no sockets, no clock.

pub mod boot_entries;
mod certificate;
mod choice;
mod diagnosis;
mod failure;
pub mod k3s_config;
mod kubeconfig;
mod kubelet;
mod merge;
pub mod node;
mod overwrite;
pub mod preparation;
mod reinstall;
mod server_state;
mod shown;
pub mod tls_san;
mod verdict;

pub use certificate::{Certificate, San, UnixSeconds};
pub use choice::{
    Candidate, Choice, Host, Outcome, ROUNDS_THAT_AGREE, Steady, Via, candidates, choose, resolved_vip,
};
pub use diagnosis::{ApiLook, NameLook, Observed, RouterLook, diagnose};
pub use failure::{Failure, Stage};
pub use kubeconfig::{ANEW, Access, SOON_DAYS};
pub use kubelet::KubeletLook;
pub use reinstall::before_reinstall;
pub use server_state::{LOOK, ServerState};
pub use shown::{Difference, Holder, Shown, addresses, difference, holder, listed, subject, verdicts};
pub use verdict::Verdict;

/// Where every k3s server has its API.
pub const API_PORT: u16 = 6443;
/// Where every kubelet has its own.
pub const KUBELET_PORT: u16 = 10250;
