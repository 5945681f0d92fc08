//! A line of the journal: sixteen digits of a SHA-256, a blank, JSON. The SHA-256 covers the digits of the line before as well,
//! so that no line can be lost, swapped or repeated unnoticed. The first line of a file says what came before it.
//!
//! ```text
//! 5b10… {"condensed":{"records":0,"last":"","hosts":0}}
//! 0f3c… {"host":"lenovo1","at":"2026-01-05T09:12:44Z","event":"installed","config":"lenovo1-bootstrap"}
//! 77ab… {"host":"lenovo2","history":{…}}
//! ```

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::boot::{Dated, HostHistory};
use crate::catalogue::Sha256;
use crate::ids::HostName;

/// 64 bits: a line that a power cut left is found out, and nobody is to be kept out who can write the file.
pub const SUM_DIGITS: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Content<'l> {
    /// The first line of a file.
    Condensed { condensed: Condensed },
    /// All that was known of a host when the journal was written anew.
    Known { host: HostName, history: Cow<'l, HostHistory> },
    Happened {
        host: HostName,
        #[serde(flatten)]
        event: Dated,
    },
}

/// What the file replaced, and how many hosts follow with all that was known of them.
#[derive(Serialize, Deserialize)]
pub struct Condensed {
    pub records: u64,
    pub last: String,
    pub hosts: u64,
}

/// How far a journal goes: its lines since it began, over all files, and the digits of the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    pub records: u64,
    pub sum: String,
}

impl End {
    /// The next line, and how far the journal goes with it.
    pub fn then(&self, content: &Content<'_>) -> (Vec<u8>, End) {
        // Text and numbers: serde_json has nothing to refuse.
        let json = serde_json::to_string(content).unwrap_or_default();
        // A file begins anew.
        let before = if matches!(content, Content::Condensed { .. }) { "" } else { &self.sum };
        let sum = sum(before, json.as_bytes());
        (format!("{sum} {json}\n").into_bytes(), End { records: self.records + 1, sum })
    }

    pub fn then_event(&self, host: &HostName, event: &Dated) -> (Vec<u8>, End) {
        self.then(&Content::Happened { host: host.clone(), event: event.clone() })
    }
}

pub fn sum(before: &str, json: &[u8]) -> String {
    Sha256::of(&[before.as_bytes(), json].concat()).to_string()[..SUM_DIGITS].to_owned()
}
