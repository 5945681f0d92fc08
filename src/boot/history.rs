//! What happened to each host, event by event, and what of it matters for its next boot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalogue::Sha256;
use crate::ids::{HostName, MacAddr};
use crate::inventory::Host;

use super::{Choice, Doubt, Membership, Moment, Progress, RebootLock, ReleasedBy};

/// One thing that happened to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It asked for its boot script, and got this one.
    Script {
        boots: Choice,
    },
    /// It fetched this Ignition config.
    Ignition {
        config: String,
        sha256: Sha256,
    },
    /// It fetched another rendered file.
    File {
        path: String,
        #[serde(default)]
        sha256: Option<Sha256>,
    },
    /// It fetched a file of `--static`, whose digest may not be known yet.
    Image {
        path: String,
        #[serde(default)]
        sha256: Option<Sha256>,
    },
    /// The installer reported that the disk is written.
    Installed {
        config: String,
        #[serde(default)]
        ignition: Option<Sha256>,
    },
    /// Nobody reports with `install: kernel_arguments`: see [`super::presumed_installed`].
    PresumedInstalled {
        config: String,
    },
    InstallFailed {
        config: String,
        #[serde(default)]
        message: String,
    },
    /// The installed system reported that it is up.
    Booted {
        config: String,
        #[serde(default)]
        ignition: Option<Sha256>,
        /// Not for the first time: it is no sign that an install has ended.
        #[serde(default)]
        again: bool,
    },
    /// It adds packages to its operating system, which count from the next boot on.
    Layering {
        config: String,
        #[serde(default)]
        message: String,
    },
    /// It is about to reboot by itself; the message says why.
    Rebooting {
        config: String,
        #[serde(default)]
        message: String,
    },
    /// Its k3s service is active.
    K3sStarted {
        config: String,
    },
    /// It is a healthy member of a cluster; a server says by which CA.
    Joined {
        config: String,
        #[serde(default)]
        ca_sha256: Option<Sha256>,
    },
    /// A unit of the node failed: its name, how it ended, and its last lines.
    StepFailed {
        config: String,
        #[serde(default)]
        message: String,
    },
    Armed {
        until: Moment,
        bootstrap: bool,
    },
    Disarmed,
    /// It asked whether it may reboot into an update, and may.
    RebootLocked {
        id: String,
    },
    /// It is back, or an operator knows better.
    RebootReleased {
        by: ReleasedBy,
    },
    /// It boots or reports, and these are its MACs by the inventory.
    Hardware {
        macs: BTreeSet<MacAddr>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated {
    pub at: Moment,
    #[serde(flatten)]
    pub event: Event,
}

/// Of all hosts that anything is known of, also of those that the inventory has no more: who comes back is not new.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    hosts: BTreeMap<HostName, HostHistory>,
    /// Whether there may have been more than this.
    pub doubt: Option<Doubt>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostHistory {
    #[serde(default)]
    pub installed: Option<Installed>,
    #[serde(default)]
    pub armed: Option<Arming>,
    /// An install script was given, and nothing was reported since.
    #[serde(default)]
    pub installing: Option<Installing>,
    /// An install that was begun and did not end well: what is on the disk, nobody knows.
    #[serde(default)]
    pub unfinished: Option<Unfinished>,
    /// How often it was sent into an install since it was reported on, or armed.
    #[serde(default)]
    pub attempts: u32,
    /// Its bootstrap config was installed once.
    #[serde(default)]
    pub bootstrapped: bool,
    /// It may be rebooting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reboot: Option<RebootLock>,
    /// Its restore config is installed, and it has not joined since: it may fetch a snapshot.
    #[serde(default)]
    pub restoring: bool,
    /// It joined once with its restore config.
    #[serde(default)]
    pub restored: bool,
    /// By which it is known again under another name.
    #[serde(default)]
    pub macs: BTreeSet<MacAddr>,
    /// How far it has come.
    #[serde(flatten)]
    pub progress: Option<Progress>,
    /// Of a server: the cluster that it is in.
    #[serde(default)]
    pub member: Option<Membership>,
    /// It was sent to bootstrap a cluster, and has not joined one since.
    #[serde(default)]
    pub bootstraps: bool,
    /// The latest, the newest last.
    #[serde(default)]
    pub events: VecDeque<Dated>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    pub at: Moment,
    pub config: String,
}

/// An operator's word that the host may be installed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arming {
    pub at: Moment,
    pub until: Moment,
    pub bootstrap: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installing {
    pub at: Moment,
    pub config: String,
    pub fetched_ignition: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub config: String,
    /// It was reported; otherwise nothing was.
    pub failed: bool,
}

/// A machine whose download fails asks again ten seconds later, for as long as it takes. One that comes back from an
/// installer was through its firmware and wrote a disk: that was an attempt.
const ATTEMPT_MIN: Duration = Duration::from_secs(30);

/// Two whole boots with all their files.
const EVENTS_KEPT: usize = 40;

/// Whether `config` is one of the names that this host's Ignition configs can have, now or by an earlier inventory.
pub fn is_config_of(host: &HostName, config: &str) -> bool {
    match config.strip_prefix(host.as_str()) {
        Some(rest) => ["", "-bootstrap", "-restore", "-reinstall"].contains(&rest),
        None => false,
    }
}

impl History {
    pub fn doubtful(doubt: Doubt) -> Self {
        History { doubt: Some(doubt), ..History::default() }
    }

    pub fn of(&self, host: &str) -> Option<&HostHistory> {
        self.hosts.get(host)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HostName, &HostHistory)> {
        self.hosts.iter()
    }

    /// As read from a snapshot.
    pub fn insert(&mut self, host: HostName, history: HostHistory) {
        self.hosts.insert(host, history);
    }

    /// Why this host, that no install is known of, may be installed.
    pub fn doubt_about(&self, host: &Host) -> Option<Doubt> {
        let renamed = self.hosts.iter().find_map(|(before, known)| {
            let mac = host.macs.iter().find(|mac| known.macs.contains(mac))?;
            let is_other = *before != host.name && known.may_be_installed();
            is_other.then(|| Doubt::Renamed { mac: *mac, before: before.clone() })
        });
        renamed.or_else(|| self.doubt.clone())
    }

    /// What is to be noted of a host before what happens to it, if that is news.
    pub fn hardware_of(&self, host: &Host) -> Option<Event> {
        let macs: BTreeSet<MacAddr> = host.macs.iter().copied().collect();
        let is_news = self.of(host.name.as_str()).is_none_or(|known| known.macs != macs);
        is_news.then_some(Event::Hardware { macs })
    }

    /// Some of it was lost once: who is not known to be installed may be.
    pub fn doubt(&mut self) {
        self.doubt = Some(Doubt::Damaged);
    }

    /// What was lost may be that an arming was used up.
    pub fn disarm_all(&mut self) {
        self.hosts.values_mut().for_each(|known| known.armed = None);
    }

    /// Some host was installed with its bootstrap config: there is a cluster.
    pub fn is_bootstrapped(&self) -> bool {
        self.hosts.values().any(|host| host.bootstrapped)
    }

    /// Some host came back from a snapshot: there is a cluster.
    pub fn is_restored(&self) -> bool {
        self.hosts.values().any(|host| host.restored)
    }

    /// Whether it says just what was noted last: a machine that asks every ten seconds is no news each time.
    pub fn repeats(&self, host: &HostName, dated: &Dated) -> bool {
        let Some(known) = self.of(host.as_str()) else { return false };
        let is_attempt = matches!(dated.event, Event::Script { boots: Choice::Install(_) })
            && known.is_another_attempt(dated.at);
        let repeated = known.repeated(&dated.event).and_then(|index| known.events.get(index));
        !is_attempt && repeated.is_some_and(|last| last.event == dated.event)
    }

    pub fn apply(&mut self, host: &HostName, dated: Dated) {
        let known = self.hosts.entry(host.clone()).or_default();
        known.fold(host, dated.at, &dated.event);
        if matches!(dated.event, Event::Hardware { .. }) {
            return;
        }
        if let Some(index) = known.repeated(&dated.event) {
            known.events.remove(index);
        }
        known.events.push_back(dated);
        if known.events.len() > EVENTS_KEPT {
            known.events.pop_front();
        }
    }
}

impl HostHistory {
    /// The event whose place this one takes: the last, if it says the same; of units that fail over and over, the last
    /// that each failed with.
    fn repeated(&self, event: &Event) -> Option<usize> {
        let last = self.events.len().checked_sub(1)?;
        match event {
            Event::StepFailed { message, .. } => {
                let is_failure = |dated: &&Dated| matches!(dated.event, Event::StepFailed { .. });
                let run = self.events.iter().rev().take_while(is_failure);
                let place = run.map(|dated| &dated.event).position(|other| {
                    matches!(other, Event::StepFailed { message: before, .. } if unit(before) == unit(message))
                });
                place.map(|back| last - back)
            }
            _ => (self.events[last].event == *event).then_some(last),
        }
    }

    fn fold(&mut self, host: &HostName, at: Moment, event: &Event) {
        match event {
            Event::Script { boots: Choice::Install(config) } => {
                self.attempts += u32::from(self.is_another_attempt(at));
                self.give_up();
                self.installing = Some(Installing { at, config: config.clone(), fetched_ignition: false });
                self.bootstraps = begins(host, config);
            }
            Event::Script { .. } => self.give_up(),
            Event::InstallFailed { config, .. } => {
                self.unfinished = Some(Unfinished { config: config.clone(), failed: true });
                self.installing = None;
                self.attempts = 0;
            }
            Event::Ignition { .. } => {
                if let Some(installing) = &mut self.installing {
                    installing.fetched_ignition = true;
                }
            }
            // What is on the disk now was never told that it may reboot.
            Event::Installed { config, .. } => {
                self.reboot = None;
                self.finish(host, at, config);
            }
            // Whether there is a cluster is not presumed.
            Event::PresumedInstalled { config } => {
                self.reboot = None;
                self.finish_install(host, at, config);
            }
            // What was installed before is on the disk still, whatever was to be installed since.
            Event::Booted { config, again: true, .. } => {
                self.unfinished = None;
                self.installing = None;
                self.installed.get_or_insert(Installed { at, config: config.clone() });
                self.bootstrapped |= is_bootstrap_of(host, config);
            }
            // A system that was installed before the host was armed may still be reporting.
            Event::Booted { config, .. } => match (&self.armed, &self.installing) {
                (Some(arming), None) if at < arming.until => {
                    self.unfinished = None;
                    self.installed.get_or_insert(Installed { at, config: config.clone() });
                    self.bootstrapped |= is_bootstrap_of(host, config);
                }
                _ => self.finish(host, at, config),
            },
            Event::Armed { until, bootstrap } => {
                self.armed = Some(Arming { at, until: *until, bootstrap: *bootstrap });
                self.give_up();
                self.attempts = 0;
            }
            Event::Disarmed => self.armed = None,
            Event::RebootLocked { id } => self.reboot = Some(RebootLock { at, id: id.clone() }),
            Event::RebootReleased { .. } => self.reboot = None,
            Event::Hardware { macs } => self.macs = macs.clone(),
            Event::File { .. } | Event::Image { .. } => {}
            Event::Layering { .. } | Event::Rebooting { .. } | Event::K3sStarted { .. } => {}
            Event::StepFailed { .. } => {}
            Event::Joined { config, ca_sha256 } => {
                let is_restored = is_of_phase("restore", host, config);
                self.restoring &= !is_restored;
                self.restored |= is_restored;
                self.bootstrapped |= is_restored;
                if let Some(ca_sha256) = ca_sha256 {
                    self.belong_to(*ca_sha256, at, begins(host, config));
                }
            }
        }
        self.progress = Progress::after(self.progress.take(), at, event, self.installing.is_some());
    }

    /// An installer that has fetched its Ignition writes the disk, though its report may never arrive: under the name it
    /// had, there may be nobody any more.
    pub fn may_be_installed(&self) -> bool {
        let is_unheard_of = self.unfinished.as_ref().is_some_and(|unfinished| !unfinished.failed);
        self.installed.is_some() || self.writes_its_disk().is_some() || is_unheard_of
    }

    /// Whether an install script that is given now is another attempt, not the same one again.
    pub fn is_another_attempt(&self, at: Moment) -> bool {
        self.installing.as_ref().is_none_or(|installing| at.since(installing.at) >= ATTEMPT_MIN)
    }

    fn finish(&mut self, host: &HostName, at: Moment, config: &str) {
        self.finish_install(host, at, config);
        self.bootstrapped |= is_bootstrap_of(host, config);
    }

    fn finish_install(&mut self, host: &HostName, at: Moment, config: &str) {
        self.restoring = is_of_phase("restore", host, config);
        self.installed = Some(Installed { at, config: config.to_owned() });
        self.armed = None;
        self.installing = None;
        self.unfinished = None;
        self.attempts = 0;
    }

    /// It is a server of the cluster of this CA.
    fn belong_to(&mut self, ca_sha256: Sha256, at: Moment, is_bootstrap: bool) {
        let founded = self.bootstraps && is_bootstrap;
        self.bootstraps = false;
        if founded || self.member.as_ref().is_none_or(|member| member.ca_sha256 != ca_sha256) {
            self.member = Some(Membership { ca_sha256, at, founded });
        }
    }

    fn give_up(&mut self) {
        if let Some(installing) = self.writes_its_disk() {
            self.unfinished = Some(Unfinished { config: installing.config.clone(), failed: false });
        }
        self.installing = None;
    }

    /// The install that was begun, has fetched its Ignition, and has not reported.
    pub fn writes_its_disk(&self) -> Option<&Installing> {
        self.installing.as_ref().filter(|installing| installing.fetched_ignition)
    }
}

/// The unit that a message of a failed step begins with.
fn unit(message: &str) -> &str {
    message.split_once(':').map_or(message, |(unit, _)| unit)
}

/// Whether the others are in the cluster that this config begins: a restored one may be older than what is known.
fn begins(host: &HostName, config: &str) -> bool {
    is_bootstrap_of(host, config) || is_of_phase("restore", host, config)
}

fn is_bootstrap_of(host: &HostName, config: &str) -> bool {
    is_of_phase("bootstrap", host, config)
}

fn is_of_phase(phase: &str, host: &HostName, config: &str) -> bool {
    config.strip_prefix(host.as_str()).and_then(|rest| rest.strip_prefix('-')) == Some(phase)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Script { boots } => write!(f, "was told: {boots}"),
            Event::Ignition { config, .. } => write!(f, "fetched its Ignition {config}"),
            Event::File { path, .. } | Event::Image { path, .. } => write!(f, "fetched {path}"),
            Event::Installed { config, .. } => write!(f, "installed {config}"),
            Event::PresumedInstalled { config } => write!(f, "installed {config}, as it seems"),
            Event::InstallFailed { config, message } => {
                write!(f, "install of {config} failed{}", Message(message))
            }
            Event::Booted { config, .. } => write!(f, "booted {config} from its disk"),
            Event::Layering { message, .. } => {
                write!(f, "adds packages to its operating system{}", Message(message))
            }
            Event::Rebooting { message, .. } => write!(f, "reboots{}", Message(message)),
            Event::K3sStarted { .. } => f.write_str("k3s started"),
            Event::Joined { .. } => f.write_str("joined the cluster"),
            Event::StepFailed { message, .. } => write!(f, "a step failed{}", Message(message)),
            Event::Armed { until, bootstrap: false } => write!(f, "armed until {until}"),
            Event::Armed { until, bootstrap: true } => write!(f, "armed to bootstrap until {until}"),
            Event::Hardware { .. } => f.write_str("was known by its MACs"),
            Event::Disarmed => f.write_str("disarmed"),
            Event::RebootLocked { .. } => f.write_str("may reboot into an update"),
            Event::RebootReleased { by: ReleasedBy::Host } => {
                f.write_str("is back, and released the reboot lock")
            }
            Event::RebootReleased { by: ReleasedBy::Operator } => {
                f.write_str("reboot lock released by an operator")
            }
        }
    }
}

/// What a node said of an event, if anything, on the event's line.
struct Message<'m>(&'m str);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            message => write!(f, ": {}", message.replace('\n', " ")),
        }
    }
}
