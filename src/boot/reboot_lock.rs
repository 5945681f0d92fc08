//! Who may reboot into an update now: one control plane at a time, and never so many that etcd has no majority.
//!
//! Pure. The lock is part of the [`History`], so it is in the journal. Whether servers are ready is asked just before and is
//! an argument. Clocks count for windows, and for saying that a reboot takes too long; never for who holds the lock.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::HostName;
use crate::inventory::{Host, Inventory, UpdateStrategy, UpdateWindow};

use super::decision::{CLOCK_DRIFT, in_force};
use super::{Doubt, Event, History, HostHistory, Moment};

/// A host was told that it may reboot, and has not said since that it is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootLock {
    /// When it was told so last.
    pub at: Moment,
    /// By which it comes back: Zincati's is made from the machine id, so another installation has another one.
    pub id: String,
}

/// Who took a lock back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasedBy {
    /// It is back.
    Host,
    Operator,
}

/// What servers' `/readyz` answered just now: the status, or why there is none. Who is not in it was not asked.
pub type Readiness = BTreeMap<HostName, Result<u16, String>>;

/// Zincati puts a reboot off for 10 min while somebody is logged in, a drain may take 5, and a slow firmware with a new
/// kernel 10: what takes longer does not come back by itself.
pub const REBOOT_MAX: Duration = Duration::from_secs(30 * 60);

/// An install that began this long ago and did not report is not going on: the nodes' own limits end within it.
const INSTALL_MAX: Duration = Duration::from_secs(60 * 60);

impl RebootLock {
    /// Whether its holder should have been back by now.
    pub fn is_overdue(&self, now: Moment) -> bool {
        now.since(self.at) >= REBOOT_MAX
    }
}

impl HostHistory {
    /// Whether it may reboot as this installation of itself: Zincati's id is made from the machine id.
    pub fn holds_reboot_lock(&self, id: &str) -> bool {
        self.reboot.as_ref().is_some_and(|lock| lock.id == id)
    }
}

/// Why a host may not reboot now. It asks again in five minutes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    #[error("updates.strategy is off")]
    Off,
    #[error("who holds the reboot lock is not known: {}", forgotten(.0))]
    NotKnown(Doubt),
    #[error(
        "{0} holds the reboot lock since {1} under another id, so it was installed anew since; `pxe-serve unlock {0}` releases it"
    )]
    OtherId(HostName, Moment),
    #[error("{} the reboot lock", holders(.0))]
    Held(Vec<(HostName, Moment)>),
    #[error("{0} is armed to be installed until {1}")]
    Armed(HostName, Moment),
    #[error("{0} is being installed since {1}")]
    Installing(HostName, Moment),
    #[error("no window of updates.windows is open: {}", windows(.0))]
    OutsideWindows(Vec<UpdateWindow>),
    #[error("of the other {servers} servers {ready} must be ready, and {}", not_ready(.down))]
    Majority { servers: usize, ready: usize, down: Vec<(HostName, String)> },
}

impl NotNow {
    /// FleetLock's `kind`: a few words that Zincati counts by in its metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            NotNow::Off => "updates_off",
            NotNow::NotKnown(_) => "lock_not_known",
            NotNow::OtherId(..) => "lock_of_another_id",
            NotNow::Held(_) => "lock_held",
            NotNow::Armed(..) | NotNow::Installing(..) => "install_open",
            NotNow::OutsideWindows(_) => "outside_windows",
            NotNow::Majority { .. } => "no_majority",
        }
    }
}

/// What the journal, the inventory and the clock say to it, before any server is asked. Who holds the lock may have lost
/// the answer, or waits for people to log out: it is told the same again, also when a window has closed meanwhile.
pub fn is_turn_of(
    inventory: &Inventory,
    host: &Host,
    history: &History,
    id: &str,
    now: Moment,
) -> Result<(), NotNow> {
    if inventory.updates.strategy == UpdateStrategy::Off {
        return Err(NotNow::Off);
    }
    if let Some(doubt) = &history.doubt {
        return Err(NotNow::NotKnown(doubt.clone()));
    }
    // Who has left the inventory holds nobody up: it could not be released by its address any more.
    let known = |host: &Host| history.of(host.name.as_str());
    for other in &inventory.hosts {
        if let Some(known) = known(other) {
            no_install_is_open(&other.name, known, now)?;
        }
    }
    match known(host).and_then(|known| known.reboot.as_ref()) {
        Some(lock) if lock.id == id => return Ok(()),
        Some(lock) => return Err(NotNow::OtherId(host.name.clone(), lock.at)),
        None => {}
    }
    let at_once = match host.is_control_plane() {
        true => 1,
        false => inventory.updates.workers_at_once as usize,
    };
    let alike = inventory.hosts.iter().filter(|other| other.is_control_plane() == host.is_control_plane());
    let held: Vec<_> =
        alike.filter_map(|other| Some((other.name.clone(), known(other)?.reboot.as_ref()?.at))).collect();
    if held.len() >= at_once {
        return Err(NotNow::Held(held));
    }
    let windows = &inventory.updates.windows;
    let is_open = windows.is_empty() || windows.iter().any(|window| window.contains(now.minute_of_week()));
    if is_open { Ok(()) } else { Err(NotNow::OutsideWindows(windows.clone())) }
}

/// An installed disk, and an arming that a reboot would use up, are an operator's work, and the cluster is short of a
/// host or about to be.
fn no_install_is_open(host: &HostName, known: &HostHistory, now: Moment) -> Result<(), NotNow> {
    if let Some(arming) = in_force(known, now) {
        return Err(NotNow::Armed(host.clone(), arming.until));
    }
    let is_going_on = |at: Moment| at <= now.plus(CLOCK_DRIFT) && now.since(at) < INSTALL_MAX;
    match known.installing.as_ref().filter(|installing| is_going_on(installing.at)) {
        Some(installing) => Err(NotNow::Installing(host.clone(), installing.at)),
        None => Ok(()),
    }
}

/// The servers whose readiness decides whether `host` may reboot: of a worker, none.
pub fn to_be_asked<'i>(inventory: &'i Inventory, host: &Host) -> impl Iterator<Item = &'i Host> {
    let (name, is_server) = (host.name.clone(), host.is_control_plane());
    inventory.control_planes().filter(move |other| is_server && other.name != name)
}

/// Whether etcd keeps its majority without `host`. Of two servers both are the majority, so it has none while either
/// reboots, and that is the only way for them to be updated: there, the other one must be ready.
fn keeps_majority(
    inventory: &Inventory,
    host: &Host,
    history: &History,
    readiness: &Readiness,
    now: Moment,
) -> Result<(), NotNow> {
    let others: Vec<&Host> = to_be_asked(inventory, host).collect();
    let down: Vec<_> = others
        .iter()
        .filter_map(|other| {
            let goes_down = history.of(other.name.as_str()).and_then(|known| goes_down(known, now));
            let why = goes_down.or_else(|| why_not_ready(inventory, readiness.get(&other.name)));
            Some((other.name.clone(), why?))
        })
        .collect();
    let servers = others.len() + 1;
    let needed = if servers <= 2 { others.len() } else { servers / 2 + 1 };
    match !host.is_control_plane() || others.len() - down.len() >= needed {
        true => Ok(()),
        false => Err(NotNow::Majority { servers: others.len(), ready: needed, down }),
    }
}

/// The rule: all that must be so for `host` to be told that it may reboot.
pub fn may_reboot(
    inventory: &Inventory,
    host: &Host,
    history: &History,
    readiness: &Readiness,
    id: &str,
    now: Moment,
) -> Result<(), NotNow> {
    is_turn_of(inventory, host, history, id, now)?;
    // Also of who holds the lock: it has not gone down yet, and others may have.
    keeps_majority(inventory, host, history, readiness, now)
}

/// It reported that it reboots by itself, which needs no lock, and not yet that it is up again. A report that never comes
/// does not count for ever: then `/readyz` alone does.
fn goes_down(known: &HostHistory, now: Moment) -> Option<String> {
    let latest = known.events.iter().rev().find(|dated| {
        use Event::{Booted, Installed, Joined, K3sStarted, Rebooting};
        matches!(
            dated.event,
            Booted { .. } | Installed { .. } | Joined { .. } | K3sStarted { .. } | Rebooting { .. }
        )
    })?;
    let goes_down = matches!(latest.event, Event::Rebooting { .. }) && now.since(latest.at) < REBOOT_MAX;
    goes_down.then(|| format!("it reported at {} that it reboots", latest.at))
}

/// Older k3s answers 401 whatever the state (decision 9): that it answers is all that can be known.
fn why_not_ready(inventory: &Inventory, answer: Option<&Result<u16, String>>) -> Option<String> {
    match answer {
        Some(Ok(200)) => None,
        Some(Ok(401)) if !inventory.k3s.version.has_authentication_config() => None,
        Some(Ok(status)) => Some(format!("/readyz answers {status}")),
        Some(Err(why)) => Some(why.clone()),
        None => Some("it was not asked".into()),
    }
}

/// A lock that nobody remembers is one that somebody may hold.
fn forgotten(doubt: &Doubt) -> &'static str {
    match doubt {
        Doubt::NothingKept => "`pxe-serve serve` runs without --state-dir",
        _ => {
            "the journal was damaged; delete journal.damaged in --state-dir when `pxe-serve hosts` shows what is true"
        }
    }
}

fn holders(held: &[(HostName, Moment)]) -> String {
    let each: Vec<String> = held.iter().map(|(host, at)| format!("{host} (since {at})")).collect();
    format!("{} {}", each.join(", "), if held.len() == 1 { "holds" } else { "hold" })
}

fn windows(windows: &[UpdateWindow]) -> String {
    windows.iter().map(UpdateWindow::to_string).collect::<Vec<_>>().join("; ")
}

fn not_ready(down: &[(HostName, String)]) -> String {
    let each: Vec<String> = down.iter().map(|(host, why)| format!("{host} is not: {why}")).collect();
    each.join(", ")
}
