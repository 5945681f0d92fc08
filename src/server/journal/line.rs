//! A line of the journal: sixteen digits of the SHA-256 of the rest, a blank, JSON.
//!
//! ```text
//! 0f3c… {"host":"lenovo1","at":"2026-01-05T09:12:44Z","event":"installed","config":"lenovo1-bootstrap"}
//! 77ab… {"host":"lenovo2","history":{…}}
//! ```

use serde::{Deserialize, Serialize};

use crate::boot::{Dated, History, HostHistory};
use crate::catalogue::Sha256;
use crate::ids::HostName;

/// 64 bits: a line that a power cut left is found out, and nobody is to be kept out who can write the file.
const SUM_DIGITS: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Content<'l> {
    /// All that was known of a host when the journal was written anew.
    Known { host: HostName, history: std::borrow::Cow<'l, HostHistory> },
    Happened {
        host: HostName,
        #[serde(flatten)]
        event: Dated,
    },
}

pub fn event(host: &HostName, event: &Dated) -> Vec<u8> {
    line(&Content::Happened { host: host.clone(), event: event.clone() })
}

pub fn known(host: &HostName, history: &HostHistory) -> Vec<u8> {
    line(&Content::Known { host: host.clone(), history: std::borrow::Cow::Borrowed(history) })
}

fn line(content: &Content<'_>) -> Vec<u8> {
    // Text and numbers: serde_json has nothing to refuse.
    let json = serde_json::to_string(content).unwrap_or_default();
    format!("{} {json}\n", sum(json.as_bytes())).into_bytes()
}

fn sum(json: &[u8]) -> String {
    Sha256::of(json).to_string()[..SUM_DIGITS].to_owned()
}

/// Adds what a line says, without its end; whether it says something.
pub fn read_into(line: &[u8], history: &mut History) -> bool {
    let Some((written, rest)) = line.split_at_checked(SUM_DIGITS) else { return false };
    let Some(json) = rest.strip_prefix(b" ").filter(|json| sum(json).as_bytes() == written) else {
        return false;
    };
    match serde_json::from_slice(json) {
        Ok(Content::Known { host, history: known }) => history.insert(host, known.into_owned()),
        Ok(Content::Happened { host, event }) => history.apply(&host, event),
        Err(_) => return false,
    }
    true
}
