//! `updates:` as checked: who decides when a host may reboot into a new version of its system, and when that is.

use std::collections::BTreeSet;
use std::fmt;

use crate::document::At;

use super::{Host, SecretReference};

/// How hosts come to reboot for an update. Zincati stages updates in any case but `Off`.
#[derive(Debug, Clone)]
pub struct Updates {
    pub strategy: UpdateStrategy,
    /// None: at any time.
    pub windows: Vec<UpdateWindow>,
    /// How many workers may be rebooting at a time; of control planes it is always one.
    pub workers_at_once: u32,
    /// A kubeconfig, with which each node drains itself before it reboots.
    pub drain_kubeconfig: Option<At<SecretReference>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateStrategy {
    /// A host asks this server first, which answers for the cluster (FleetLock).
    Coordinated,
    /// Each host by itself, within the windows.
    Windows,
    /// Nobody updates by himself.
    Off,
}

/// A stretch of each week, in UTC: Zincati's own default, and what a router knows without a time zone database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateWindow {
    /// On which it begins; not empty.
    pub days: BTreeSet<Weekday>,
    /// Of the day.
    pub start_minute: u32,
    /// It may reach into the next day, and over the end of the week.
    pub length_minutes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Host {
    /// What Zincati calls itself when it asks: letters, digits, dots and dashes (FleetLock's protocol).
    pub fn update_group(&self) -> &'static str {
        if self.is_control_plane() { "control-plane" } else { "worker" }
    }
}

const MINUTES_OF_A_DAY: u32 = 24 * 60;

pub const MINUTES_OF_A_WEEK: u32 = 7 * MINUTES_OF_A_DAY;

impl UpdateWindow {
    /// Whether it is open in this minute of the week, counted from Monday 00:00.
    pub fn contains(&self, minute_of_week: u32) -> bool {
        self.days.iter().any(|day| {
            let start = *day as u32 * MINUTES_OF_A_DAY + self.start_minute;
            (minute_of_week + MINUTES_OF_A_WEEK - start) % MINUTES_OF_A_WEEK < self.length_minutes
        })
    }

    /// As Zincati reads it, and people: `03:00`.
    pub fn start(&self) -> String {
        format!("{:02}:{:02}", self.start_minute / 60, self.start_minute % 60)
    }
}

impl Weekday {
    pub const ALL: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for UpdateWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<String> = self.days.iter().map(Weekday::to_string).collect();
        let days = if days.len() == 7 { "every day".to_owned() } else { days.join(", ") };
        write!(f, "{days} {} UTC for {} min", self.start(), self.length_minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Weekday], start_minute: u32, length_minutes: u32) -> UpdateWindow {
        UpdateWindow { days: days.iter().copied().collect(), start_minute, length_minutes }
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_until_its_length_is_over_also_past_sunday_midnight() {
        let sunday = 6 * MINUTES_OF_A_DAY;
        let late = window(&[Weekday::Sun], 23 * 60 + 30, 90);
        for (minute, is_open) in [
            (sunday + 23 * 60 + 29, false),
            (sunday + 23 * 60 + 30, true),
            (MINUTES_OF_A_WEEK - 1, true),
            (0, true),
            (59, true),
            (60, false),
        ] {
            assert_eq!(late.contains(minute), is_open, "{minute}");
        }
        assert_eq!(late.to_string(), "Sun 23:30 UTC for 90 min");
    }

    #[test]
    fn a_window_of_a_whole_week_is_always_open() {
        let always = window(&[Weekday::Thu], 61, MINUTES_OF_A_WEEK);
        assert!((0..MINUTES_OF_A_WEEK).all(|minute| always.contains(minute)));
        let nightly = window(&Weekday::ALL, 180, 60);
        let open = (0..MINUTES_OF_A_WEEK).filter(|minute| nightly.contains(*minute)).count();
        assert_eq!((open, nightly.to_string().as_str()), (7 * 60, "every day 03:00 UTC for 60 min"));
    }
}
