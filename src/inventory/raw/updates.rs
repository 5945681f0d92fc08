//! `updates:` as written.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use crate::document::{At, Fields, Item};
use crate::ids::Invalid;
use crate::inventory::model::SecretReference;
use crate::inventory::{UpdateStrategy, UpdateWindow, Weekday};

use super::read_secret;

#[derive(Debug, Default)]
pub struct Updates {
    pub strategy: Option<At<UpdateStrategy>>,
    pub windows: Vec<At<UpdateWindow>>,
    pub workers_at_once: Option<At<u32>>,
    pub drain_kubeconfig: Option<At<SecretReference>>,
}

/// Of a rack of the size that one inventory describes.
const WORKERS_AT_ONCE_MAX: u32 = 100;

pub fn read_updates(item: &Item<'_>) -> Updates {
    let Some(mut fields) = Fields::of(item) else { return Updates::default() };
    let strategies = [
        ("coordinated", UpdateStrategy::Coordinated),
        ("windows", UpdateStrategy::Windows),
        ("off", UpdateStrategy::Off),
    ];
    let windows = fields.get("windows").and_then(|item| item.list()).unwrap_or_default();
    let updates = Updates {
        strategy: fields.get("strategy").and_then(|item| item.choice(&strategies)),
        windows: windows.iter().filter_map(read_window).collect(),
        workers_at_once: fields
            .get("workers_at_once")
            .and_then(|item| item.number(1, WORKERS_AT_ONCE_MAX, " workers")),
        drain_kubeconfig: fields.get("drain").and_then(|item| read_drain(&item)),
    };
    fields.finish();
    updates
}

fn read_window(item: &Item<'_>) -> Option<At<UpdateWindow>> {
    let mut fields = Fields::of(item)?;
    let days = match fields.get("days") {
        Some(days) => read_days(&days),
        None => Some(Weekday::ALL.into()),
    };
    let start = fields.require("start", "write when it begins, in UTC: \"03:00\"");
    let length = fields.require("length", "write how long it lasts, such as 2h");
    let start = start.and_then(|item| item.parse::<TimeOfDay>());
    let length = length.and_then(|item| item.parse::<WindowLength>());
    fields.finish();
    Some(item.at(UpdateWindow { days: days?, start_minute: start?.value.0, length_minutes: length?.value.0 }))
}

fn read_days(item: &Item<'_>) -> Option<BTreeSet<Weekday>> {
    let list = item.list()?;
    if list.is_empty() {
        item.push(item.at(()).error("is empty").help("name a day, or leave it out for every day"));
    }
    let words = Weekday::ALL.map(|day| (day.to_string(), day));
    let words: Vec<(&str, Weekday)> = words.iter().map(|(word, day)| (word.as_str(), *day)).collect();
    let days: BTreeSet<Weekday> =
        list.iter().filter_map(|day| day.choice(&words)).map(|day| day.value).collect();
    (!days.is_empty()).then_some(days)
}

fn read_drain(item: &Item<'_>) -> Option<At<SecretReference>> {
    let mut fields = Fields::of(item)?;
    let kubeconfig = fields.require("kubeconfig", "add `kubeconfig: {file: secrets/drain-kubeconfig}`");
    fields.finish();
    read_secret(&kubeconfig?)
}

/// Minutes since midnight.
struct TimeOfDay(u32);

impl FromStr for TimeOfDay {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |digits: &str| match digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u32>().ok(),
            false => None,
        };
        let read = text.split_once(':').and_then(|(hour, minute)| Some((number(hour)?, number(minute)?)));
        match read {
            Some((hour @ 0..24, minute @ 0..60)) => Ok(TimeOfDay(hour * 60 + minute)),
            _ => Err(Invalid::new(
                format!("{text:?} is not a time of day"),
                "write hour and minute with two digits each, in UTC: \"03:00\"",
            )),
        }
    }
}

/// In whole minutes.
struct WindowLength(u32);

/// Zincati asks every 5 min and up to a tenth later (its update_agent/mod.rs): in less, it may never ask.
const WINDOW_MIN: Duration = Duration::from_secs(10 * 60);

/// Zincati takes no longer window (its weekly/utils.rs).
const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl FromStr for WindowLength {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let length = humantime::parse_duration(text).map_err(|_| {
            Invalid::new(format!("{text:?} is not a length of time"), "write it as 90min or 2h")
        })?;
        if !(WINDOW_MIN..=WINDOW_MAX).contains(&length) {
            return Err(Invalid::new(
                format!("a window of {text} is out of range"),
                "choose 10min to 7days: nodes ask every five minutes, and a week has no more",
            ));
        }
        u32::try_from(length.as_secs() / 60)
            .map(WindowLength)
            .map_err(|_| Invalid::new(format!("{text:?} is not a length of time"), "write it as 90min or 2h"))
    }
}
