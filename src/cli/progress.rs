//! How far the reading of big files is, on standard error, once it takes longer than people like to wait in silence.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use crate::load::Progress;

/// Nothing is said before.
const PATIENCE: Duration = Duration::from_secs(1);
/// On a terminal one line is written over; elsewhere each is a line of a log.
const EVERY_ON_TERMINAL: Duration = Duration::from_millis(100);
const EVERY_IN_LOG: Duration = Duration::from_secs(5);

pub struct Shown {
    next: Instant,
    is_terminal: bool,
    said: bool,
}

impl Shown {
    pub fn new() -> Self {
        Shown { next: Instant::now() + PATIENCE, is_terminal: io::stderr().is_terminal(), said: false }
    }

    pub fn show(&mut self, progress: &Progress<'_>) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.said = true;
        self.next = now + if self.is_terminal { EVERY_ON_TERMINAL } else { EVERY_IN_LOG };
        // A file may have grown since its size was asked for.
        let percent = (progress.done * 100).checked_div(progress.total).unwrap_or(100).min(100);
        let line =
            format!("reading {} for its digest: {percent} % of {}", progress.path, size(progress.total));
        super::tell(&if self.is_terminal { format!("\r\x1b[K{line}") } else { format!("{line}\n") });
    }

    /// Takes the line away again.
    pub fn end(&self) {
        if self.said && self.is_terminal {
            super::tell("\r\x1b[K");
        }
    }
}

fn size(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
