//! `/pxe/hosts`, for the operator: all hosts, and the word that one of them may be installed again.

use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::boot::{self, Event, ReleasedBy};
use crate::ids::HostName;
use crate::inventory::Inventory;

use super::caller::Caller;
use super::journal::now;
use super::refusal::Refusal;
use super::report;
use super::snapshots;
use super::state::ServerState;

/// What is armed and forgotten wipes a disk with the next boot from the network, perhaps of somebody else.
pub const ARM_FOR: Duration = Duration::from_secs(30 * 60);

const ARM_FOR_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What `POST /pxe/hosts/HOST/arm` is told; an empty body is all defaults.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    #[serde(default)]
    pub bootstrap: bool,
}

pub async fn list(state: &ServerState, caller: &Caller) -> Result<Response, Refusal> {
    let status = state.status();
    let served = status.served()?;
    let inventory = &served.generation.inventory;
    caller.must_be_operator(inventory)?;
    // One that hangs on a broken disk has its own line in the log.
    let snapshots =
        snapshots::warning(state, inventory).await.unwrap_or_else(|refusal| Some(refusal.to_string()));
    let mut roster = boot::roster(inventory, &state.chronicle.history(), &state.strangers(), now());
    roster.broken = status.failure.as_ref().map(|failure| failure.reason.clone());
    roster.snapshots = snapshots;
    // Text, numbers and lists: serde_json has nothing to refuse.
    let body = serde_json::to_string_pretty(&roster).unwrap_or_default() + "\n";
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// The SHA-256 of the CA that the cluster is known by, as in a token that begins with K10. It is no secret: k3s shows the
/// CA to everybody at `/cacerts`.
pub fn cluster_ca(state: &ServerState) -> Result<Response, Refusal> {
    let ca = state.chronicle.history().cluster_ca().map(|(_, ca)| ca).ok_or(Refusal::NoCluster)?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, format!("{ca}\n")).into_response())
}

pub async fn arm(
    state: &ServerState,
    caller: &Caller,
    host: &str,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let served = state.status().served()?;
    let inventory = &served.generation.inventory;
    caller.must_be_operator(inventory)?;
    let body = report::read(body).await?;
    let wanted: Arm = match body.trim_ascii() {
        b"" => Arm::default(),
        text => serde_json::from_slice(text).map_err(|error| Refusal::BadBody(error.to_string()))?,
    };
    let host = known(inventory, host)?;
    if wanted.bootstrap && *host != inventory.k3s.bootstrap_host {
        let only = &inventory.k3s.bootstrap_host;
        return Err(Refusal::BadBody(format!("only {only} may bootstrap (k3s.bootstrap_host)")));
    }
    let time = wanted.for_seconds.map_or(ARM_FOR, Duration::from_secs);
    if time.is_zero() || time > ARM_FOR_MAX {
        return Err(Refusal::BadBody("a host can be armed for 1 s to 7 days".into()));
    }
    record(state, host, Event::Armed { until: now().plus(time), bootstrap: wanted.bootstrap }).await
}

pub async fn disarm(state: &ServerState, caller: &Caller, host: &str) -> Result<StatusCode, Refusal> {
    let served = state.status().served()?;
    let inventory = &served.generation.inventory;
    caller.must_be_operator(inventory)?;
    record(state, known(inventory, host)?, Event::Disarmed).await
}

pub async fn unlock(state: &ServerState, caller: &Caller, host: &str) -> Result<StatusCode, Refusal> {
    let served = state.status().served()?;
    let inventory = &served.generation.inventory;
    caller.must_be_operator(inventory)?;
    let host = known(inventory, host)?;
    let is_held = state.chronicle.history().of(host.as_str()).is_some_and(|known| known.reboot.is_some());
    if !is_held {
        return Err(Refusal::NoRebootLock(host.clone()));
    }
    record(state, host, Event::RebootReleased { by: ReleasedBy::Operator }).await
}

fn known<'i>(inventory: &'i Inventory, host: &str) -> Result<&'i HostName, Refusal> {
    inventory.host(host).map(|host| &host.name).ok_or_else(|| Refusal::no_host(host))
}

async fn record(state: &ServerState, host: &HostName, event: Event) -> Result<StatusCode, Refusal> {
    tracing::info!(host = host.as_str(), "by an operator: {event}");
    state.chronicle.record(host, event).await.map_err(Refusal::journal)?;
    Ok(StatusCode::NO_CONTENT)
}
