//! Rules about updates: words that have no effect together, and control planes that nobody coordinates.

use crate::inventory::raw;
use crate::inventory::{UpdateStrategy, Updates};

use super::Checker;

/// One worker after the other, as of control planes.
const WORKERS_AT_ONCE: u32 = 1;

pub fn build(raw: raw::Updates, servers: usize, checker: &Checker<'_>) -> Updates {
    let strategy = raw.strategy.as_ref().map_or(UpdateStrategy::Coordinated, |strategy| strategy.value);
    if let Some(written) = &raw.strategy {
        match strategy {
            UpdateStrategy::Windows if raw.windows.is_empty() => {
                let help = "add `windows: [{days: [Sat, Sun], start: \"03:00\", length: 2h}]`";
                checker.push(written.error("there are no windows").help(help));
            }
            UpdateStrategy::Windows if servers > 1 => {
                let help = "write coordinated: it keeps to the windows as well, and reboots one control plane at a time";
                let message = format!("nobody keeps the {servers} control planes from rebooting at once");
                checker.push(written.warning(message).help(help));
            }
            _ => {}
        }
    }
    if let (UpdateStrategy::Off, Some(window)) = (strategy, raw.windows.first()) {
        let help = "leave the windows out, or write coordinated";
        checker.push(window.warning("with `strategy: off` a window has no effect").help(help));
    }
    if let Some(workers) = raw.workers_at_once.as_ref().filter(|_| strategy != UpdateStrategy::Coordinated) {
        let help = "leave it out, or write `strategy: coordinated`";
        checker.push(workers.warning("nobody counts the workers that reboot").help(help));
    }
    Updates {
        strategy,
        windows: raw.windows.into_iter().map(|window| window.value).collect(),
        workers_at_once: raw.workers_at_once.map_or(WORKERS_AT_ONCE, |workers| workers.value),
        drain_kubeconfig: raw.drain_kubeconfig,
    }
}
