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

/// Of a message that somebody else wrote, in characters: it is kept, and shown in a table.
const MESSAGE_MAX: usize = 500;

#[derive(serde::Deserialize)]
struct Report {
    event: Kind,
    config: String,
    /// Empty where a node does not know: a config cannot hold its own digest.
    #[serde(default)]
    ignition: String,
    #[serde(default)]
    message: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Installed,
    InstallFailed,
    Booted,
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
    tracing::info!(host = host.name.as_str(), "reported: {event}");
    state.chronicle.record_of(host, event).await.map_err(Refusal::journal)?;
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
    let Report { event, config, ignition, message } = report;
    if !is_config_of(host, &config) {
        return Err(Refusal::BadBody(format!("{host} has no config {config:?}")));
    }
    let ignition: Option<Sha256> = match ignition.as_str() {
        "" => None,
        hex => Some(hex.parse().map_err(|()| Refusal::BadBody("`ignition` is no SHA-256".into()))?),
    };
    let printable = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    Ok(match event {
        Kind::Installed => Event::Installed { config, ignition },
        Kind::InstallFailed => {
            Event::InstallFailed { config, message: printable.take(MESSAGE_MAX).collect() }
        }
        Kind::Booted => Event::Booted { config, ignition },
    })
}
