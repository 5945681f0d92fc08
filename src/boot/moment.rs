//! A point in time, as the clock of the machine that serves shows it.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use crate::inventory::MINUTES_OF_A_WEEK;

/// Whole seconds since 1970; written as RFC 3339, since people read the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// The last second that RFC 3339 can write: the year has four digits.
const END_OF_9999: u64 = 253_402_300_799;

impl Moment {
    pub fn from_unix(seconds: u64) -> Self {
        Moment(seconds.min(END_OF_9999))
    }

    pub fn plus(self, time: Duration) -> Self {
        Moment::from_unix(self.0.saturating_add(time.as_secs()))
    }

    /// Since Monday 00:00 UTC. 1970 began on a Thursday.
    pub fn minute_of_week(self) -> u32 {
        const THURSDAY: u64 = 3 * 24 * 60;
        u32::try_from((self.0 / 60 + THURSDAY) % u64::from(MINUTES_OF_A_WEEK)).unwrap_or_default()
    }

    /// How long ago `earlier` was; zero if it was not.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0)).fmt(f)
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
        let since = time.duration_since(UNIX_EPOCH).map_err(serde::de::Error::custom)?;
        Ok(Moment::from_unix(since.as_secs()))
    }
}
