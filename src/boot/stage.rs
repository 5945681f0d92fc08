//! How far a host has come on its way into the cluster, and what it hangs at. Pure: a fold over its events.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Event, Moment};

/// In the order in which a host that is installed reaches them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It asked for its boot script.
    Asked,
    /// It was told to install, and fetched its Ignition config.
    Installing,
    Installed,
    Booted,
    Layering,
    Rebooting,
    K3sStarted,
    Joined,
}

/// The stage that a host is at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub stage: Stage,
    #[serde(rename = "stage_since")]
    pub since: Moment,
    /// What failed since, the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub at: Moment,
    /// The unit and how it ended; then its last lines.
    pub message: String,
}

/// Why a host does not come further, or is not where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub since: Moment,
    pub reason: String,
    /// The last lines of the unit that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// For one stage. A boot takes two minutes, k3s and its images over a slow line some more.
pub const STALLED_AFTER: Duration = Duration::from_secs(10 * 60);

impl Progress {
    /// What follows from an event; `is_installing`: an install script was given, and nothing was reported since.
    pub fn after(
        before: Option<Progress>,
        at: Moment,
        event: &Event,
        is_installing: bool,
    ) -> Option<Progress> {
        let stage = match event {
            Event::Script { .. } => Stage::Asked,
            Event::Ignition { .. } if is_installing => Stage::Installing,
            Event::Installed { .. } | Event::PresumedInstalled { .. } => Stage::Installed,
            Event::Booted { .. } => Stage::Booted,
            Event::Layering { .. } => Stage::Layering,
            Event::Rebooting { .. } => Stage::Rebooting,
            Event::K3sStarted { .. } => Stage::K3sStarted,
            Event::Joined { .. } => Stage::Joined,
            Event::InstallFailed { message, .. } => return failed(before, Stage::Installing, at, message),
            Event::StepFailed { message, .. } => return failed(before, Stage::Booted, at, message),
            _ => return before,
        };
        match before {
            // A step that is tried again, or a node that starts over and over, has come no further.
            Some(same) if same.stage == stage && stage != Stage::Asked => Some(same),
            // Two units of a node may say so, the second one late.
            Some(joined) if joined.stage == Stage::Joined && stage == Stage::K3sStarted => Some(joined),
            _ => Some(Progress { stage, since: at, failed: None }),
        }
    }

    /// What the host hangs at.
    pub fn trouble(&self, now: Moment) -> Option<Trouble> {
        if let Some(Failed { at, message }) = &self.failed {
            let mut lines = message.lines().map(str::to_owned);
            let reason = format!("{}; {}", self.stage, lines.next().unwrap_or_default());
            return Some(Trouble { since: *at, reason, said: lines.collect() });
        }
        self.is_stalled(now).then(|| Trouble {
            since: self.since,
            reason: self.to_string(),
            said: Vec::new(),
        })
    }

    /// It should have come further by now. Who only asks may be told to stay where it is.
    pub fn is_stalled(&self, now: Moment) -> bool {
        !matches!(self.stage, Stage::Asked | Stage::Installing | Stage::Joined)
            && now.since(self.since) >= STALLED_AFTER
    }
}

/// `stage` is the least that a host must have reached to report this.
fn failed(before: Option<Progress>, stage: Stage, at: Moment, message: &str) -> Option<Progress> {
    let failed = Some(Failed { at, message: message.to_owned() });
    let before = before.unwrap_or(Progress { stage, since: at, failed: None });
    Some(Progress { failed, ..before })
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Asked => "asked",
            Stage::Installing => "installing",
            Stage::Installed => "installed",
            Stage::Booted => "booted",
            Stage::Layering => "layering",
            Stage::Rebooting => "rebooting",
            Stage::K3sStarted => "k3s started",
            Stage::Joined => "joined",
        })
    }
}

/// The stage, and what has not happened yet.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = match self.stage {
            Stage::Asked | Stage::Joined => return self.stage.fmt(f),
            Stage::Installing => "the install has not ended",
            Stage::Installed => "not booted from its disk",
            Stage::Booted => "k3s not started",
            Stage::Layering => "not rebooted",
            Stage::Rebooting => "not booted again",
            Stage::K3sStarted => "not joined",
        };
        write!(f, "{}, {next}", self.stage)
    }
}
