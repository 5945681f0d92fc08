//! What a machine that boots is told: who it is, and whether it installs, runs live or starts from its disk. Pure.
//!
//! [`Machine`] → [`identify`] → [`decide`], over what is known of the hosts' [`History`]. Time is an argument.

mod console;
mod decision;
mod doubt;
mod history;
mod identify;
mod machine;
mod membership;
mod moment;
mod reboot_lock;
mod roster;
mod stage;
mod strangers;
#[cfg(test)]
mod tests;

pub use console::{console, console_then_disk};
pub use decision::{Choice, Decision, decide, presumed_installed};
pub use doubt::Doubt;
pub use history::{Arming, Dated, Event, History, HostHistory, Installed, is_config_of};
pub use identify::{Conflict, Identity, identify};
pub use machine::{Fact, Machine};
pub use membership::Membership;
pub use moment::Moment;
pub use reboot_lock::{
    NotNow, REBOOT_MAX, Readiness, RebootLock, ReleasedBy, is_turn_of, may_reboot, to_be_asked,
};
pub use roster::{HostEntry, Roster, roster};
pub use stage::{Failed, Progress, STALLED_AFTER, Stage, Trouble};
pub use strangers::{Stranger, Strangers};
