//! What a host boots now: by what an operator said, else by its `boot` in the inventory and what was reported.
//!
//! A disk is written by an operator's word alone: by an arming, or by `boot: install`. That nothing is known of a host is no
//! such word: a lost journal knows nothing either.

use std::fmt;
use std::time::Duration;

use crate::ids::HostName;
use crate::inventory::{BootPolicy, Host, InstallForm, Inventory, Phase};

use super::history::Installing;
use super::{Arming, Doubt, History, HostHistory, Moment};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// With the Ignition config of this name.
    Install(String),
    Live,
    Local,
}

/// A choice, and what it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub boots: Choice,
    pub why: String,
    /// It would install but for `why`, which its console says.
    pub is_held: bool,
}

/// An install that fails leaves the machine in a shell, so three that came back wrote the disk three times: what does not
/// arrive is the report, and the fourth would be no better.
const ATTEMPTS_MAX: u32 = 3;

/// A router without a battery starts in the past, and NTP sets it right: an arming that lies further in the future than
/// clocks drift was made before the clock went back, and how much of it is over nobody knows.
pub(super) const CLOCK_DRIFT: Duration = Duration::from_secs(300);

pub fn decide(inventory: &Inventory, host: &Host, history: &History, now: Moment) -> Decision {
    let decision = promised(inventory, host, history, now);
    let known = history.of(host.name.as_str());
    let is_in_vain =
        known.is_some_and(|known| known.attempts >= ATTEMPTS_MAX && known.is_another_attempt(now));
    match decision.boots {
        Choice::Install(config) if is_in_vain => held(format!(
            "sent to install {config} {ATTEMPTS_MAX} times, nobody reported; see `pxe-serve hosts`, then: pxe-serve arm {}",
            host.name
        )),
        _ => decision,
    }
}

fn held(why: String) -> Decision {
    Decision { boots: Choice::Local, why, is_held: true }
}

fn promised(inventory: &Inventory, host: &Host, history: &History, now: Moment) -> Decision {
    let known = history.of(host.name.as_str());
    let install = |bootstrap, mut why: String| {
        let phase = phase(inventory, host, history, bootstrap);
        let config = match phase {
            Some(Phase::Bootstrap) => format!("{}-bootstrap", host.name),
            Some(Phase::Restore) => format!("{}-restore", host.name),
            Some(Phase::Reinstall) => format!("{}-reinstall", host.name),
            None => host.name.to_string(),
        };
        if phase == Some(Phase::Reinstall) && inventory.k3s.phase == Phase::Restore {
            why += match history.is_restored() {
                true => {
                    "; joins the cluster that was restored before, `pxe-serve arm --bootstrap` restores once more"
                }
                false => "; joins the cluster that may be there, `pxe-serve arm --bootstrap` restores one",
            };
        }
        if phase == Some(Phase::Reinstall) && inventory.k3s.phase == Phase::Bootstrap {
            why += match history.is_bootstrapped() {
                true => {
                    "; joins the cluster that was started before, `pxe-serve arm --bootstrap` starts another"
                }
                false => "; joins the cluster that may be there, `pxe-serve arm --bootstrap` starts one",
            };
        }
        Decision { boots: Choice::Install(config), why, is_held: false }
    };
    if let Some(arming) = known.and_then(|known| in_force(known, now)) {
        return install(arming.bootstrap, format!("armed until {}", arming.until));
    }
    let as_written = |boots, word| Decision { boots, why: format!("boot: {word}"), is_held: false };
    match host.boot {
        BootPolicy::Install => install(false, "boot: install".into()),
        BootPolicy::Live => as_written(Choice::Live, "live"),
        BootPolicy::Local => as_written(Choice::Local, "local"),
        BootPolicy::InstallOnce => unarmed(host, history),
    }
}

/// `install_once` of a host that nobody has armed.
fn unarmed(host: &Host, history: &History) -> Decision {
    let known = history.of(host.name.as_str());
    let arm = format!("to install it: pxe-serve arm {}", host.name);
    if let Some(Installing { config, at, .. }) = known.and_then(HostHistory::writes_its_disk) {
        return held(format!("the install of {config}, begun {at}, has not reported yet"));
    }
    if let Some(begun) = known.and_then(|known| known.unfinished.as_ref()) {
        let how = if begun.failed { "failed" } else { "never reported its end" };
        return held(format!("the install of {} {how}; {arm}", begun.config));
    }
    if let Some(installed) = known.and_then(|known| known.installed.as_ref()) {
        let why = format!("{} installed {}", installed.config, installed.at);
        return Decision { boots: Choice::Local, why, is_held: false };
    }
    match history.doubt_about(host) {
        // There is no socket to arm it by.
        Some(doubt @ Doubt::NothingKept) => {
            held(format!("{doubt}; start pxe-serve serve with it, then: pxe-serve arm {}", host.name))
        }
        Some(doubt) => held(format!("{doubt}; {arm}")),
        None => held(format!("no install of it is known; {arm}")),
    }
}

/// Whether there was never an install of it, for all that is known, and nobody but its operator keeps it from one.
pub fn is_new(host: &Host, history: &History, now: Moment) -> bool {
    let is_blank = |known: &HostHistory| !known.may_be_installed() && in_force(known, now).is_none();
    host.boot == BootPolicy::InstallOnce
        && history.of(host.name.as_str()).is_none_or(is_blank)
        && history.doubt_about(host).is_none()
}

/// The arming that holds now.
pub fn in_force(known: &HostHistory, now: Moment) -> Option<&Arming> {
    known.armed.as_ref().filter(|arming| arming.at <= now.plus(CLOCK_DRIFT) && now < arming.until)
}

/// A cluster is bootstrapped or restored once: afterwards the bootstrap host joins it, whatever `k3s.phase` says. A
/// single server has nobody to join, unless one that the inventory has no more was installed: servers are commented out.
/// `None` is a host that never bootstraps.
fn phase(inventory: &Inventory, host: &Host, history: &History, bootstrap: bool) -> Option<Phase> {
    if host.name != inventory.k3s.bootstrap_host {
        return None;
    }
    let is_gone = |(name, known): (&HostName, &HostHistory)| {
        known.installed.is_some() && inventory.host(name.as_str()).is_none()
    };
    let is_single = inventory.control_planes().count() == 1 && !history.iter().any(is_gone);
    let (first, has_begun) = match inventory.k3s.phase {
        Phase::Restore => (Phase::Restore, history.is_restored()),
        Phase::Bootstrap => (Phase::Bootstrap, history.is_bootstrapped()),
        Phase::Reinstall => (Phase::Bootstrap, true),
    };
    let is_first = history.doubt.is_none() && !has_begun;
    Some(if bootstrap || is_single || is_first { first } else { Phase::Reinstall })
}

/// With `install: kernel_arguments` nobody reports from the live system. An install that a host was sent into counts
/// as done when it fetched its Ignition since and now asks for a boot script again: the installer fetches it last but
/// for the image, and an install that fails stops in a shell and does not reboot.
pub fn presumed_installed(form: InstallForm, known: Option<&HostHistory>) -> Option<&str> {
    let installing = known?.installing.as_ref()?;
    (form == InstallForm::KernelArguments && installing.fetched_ignition)
        .then_some(installing.config.as_str())
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Install(config) => write!(f, "install {config}"),
            Choice::Live => f.write_str("live"),
            Choice::Local => f.write_str("local disk"),
        }
    }
}
