//! `POST /pxe/events/HOST`: what a node says has happened to it. Kept before it is answered.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;

use crate::boot::{Event, is_config_of};
use crate::catalogue::Sha256;
use crate::ids::HostName;

use super::caller::Caller;
use super::refusal::Refusal;
use super::state::ServerState;

/// Three short fields and a message of a journal's last lines.
const BODY_BYTES_MAX: usize = 4096;

/// It fits into three segments; five seconds forgive one that is lost twice (RFC 6298: 1 + 2 s).
const BODY_TIME_MAX: Duration = Duration::from_secs(5);

/// Of a message that somebody else wrote, in characters: ten short lines. It is kept, and shown.
const MESSAGE_MAX: usize = 1000;

#[derive(serde::Deserialize)]
struct Report {
    event: Kind,
    config: String,
    /// Empty where a node does not know: a config cannot hold its own digest.
    #[serde(default)]
    ignition: String,
    #[serde(default)]
    message: String,
    /// With `booted`: not for the first time.
    #[serde(default)]
    again: bool,
    /// With `joined`, of a server.
    #[serde(default)]
    ca_sha256: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Installed,
    InstallFailed,
    Booted,
    Layering,
    Rebooting,
    K3sStarted,
    Joined,
    StepFailed,
}

pub async fn report(
    state: &ServerState,
    caller: &Caller,
    host: &str,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let served = state.status().served()?;
    let host = {
        let inventory = &served.generation.inventory;
        let host = inventory.host(host).ok_or_else(|| Refusal::no_host(host))?;
        caller.must_be_host(&host.name, inventory, state.secrets).inspect_err(|refusal| {
            // It is on its way to being installed again and again, and nothing else says why.
            tracing::warn!(host = host.name.as_str(), "a report is refused: {refusal}");
        })?;
        host
    };
    let event = event(&host.name, &read(body).await?)?;
    match event {
        Event::InstallFailed { .. } | Event::StepFailed { .. } => {
            tracing::warn!(host = host.name.as_str(), "reported: {event}");
        }
        _ => tracing::info!(host = host.name.as_str(), "reported: {event}"),
    }
    let has_joined = matches!(event, Event::Joined { .. });
    state.chronicle.record_of(host, event).await.map_err(Refusal::journal)?;
    if has_joined && let Some(reason) = state.chronicle.history().stray(&host.name) {
        tracing::error!(host = host.name.as_str(), "{reason}; reinstall the one that is wrong");
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A whole body, bounded in size and time.
pub async fn read(body: Body) -> Result<Bytes, Refusal> {
    let reading = axum::body::to_bytes(body, BODY_BYTES_MAX);
    let read = tokio::time::timeout(BODY_TIME_MAX, reading).await.map_err(|_| Refusal::SlowBody)?;
    read.map_err(|_| Refusal::BadBody(format!("it is longer than {BODY_BYTES_MAX} bytes, or broke off")))
}

fn event(host: &HostName, body: &[u8]) -> Result<Event, Refusal> {
    let report: Report = serde_json::from_slice(body).map_err(|error| Refusal::BadBody(error.to_string()))?;
    let Report { event, config, ignition, message, again, ca_sha256 } = report;
    if !is_config_of(host, &config) {
        return Err(Refusal::BadBody(format!("{host} has no config {config:?}")));
    }
    let ignition = digest("ignition", &ignition)?;
    let ca_sha256 = digest("ca_sha256", &ca_sha256)?;
    let message = printable(&message);
    Ok(match event {
        Kind::Installed => Event::Installed { config, ignition },
        Kind::InstallFailed => Event::InstallFailed { config, message },
        Kind::Booted => Event::Booted { config, ignition, again },
        Kind::Layering => Event::Layering { config, message },
        Kind::Rebooting => Event::Rebooting { config, message },
        Kind::K3sStarted => Event::K3sStarted { config },
        Kind::Joined => Event::Joined { config, ca_sha256 },
        Kind::StepFailed => Event::StepFailed { config, message },
    })
}

/// Empty is not known.
fn digest(field: &str, hex: &str) -> Result<Option<Sha256>, Refusal> {
    let no_digest = |()| Refusal::BadBody(format!("`{field}` is no SHA-256"));
    (!hex.is_empty()).then(|| hex.parse().map_err(no_digest)).transpose()
}

/// Lines of text, without what a terminal acts upon, and without what makes text look like other text.
fn printable(message: &str) -> String {
    let lines = message.trim().chars().filter(|c| !is_invisible(*c));
    lines.map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).take(MESSAGE_MAX).collect()
}

/// Characters of no width, and those that change the direction of text (Unicode's Default_Ignorable_Code_Point and
/// Bidi_Control, and the separators of lines and paragraphs).
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
