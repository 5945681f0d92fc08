//! FleetLock: Zincati asks `POST /v1/pre-reboot` before a host reboots into an update, and sends `/v1/steady-state` at each
//! start, until it is answered with 200.
//!
//! The protocol is Zincati's own (its docs/development/fleetlock/protocol.md). It takes whatever is not 2xx for a no, logs
//! `value`, counts `kind`, and asks again in 5 to 5.5 min; so a refusal costs nothing, and 200 is said only of a lock that
//! is on the medium. It sends no name: a host is known by its address in the inventory. The id is kept, and releases only
//! the lock that it took.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::boot::{self, Event, NotNow, ReleasedBy};
use crate::inventory::{Host, Inventory};

use super::caller::Caller;
use super::journal::now;
use super::refusal::Refusal;
use super::report;
use super::state::ServerState;

const HEADER: &str = "fleet-lock-protocol";

/// Zincati's is 32 hex digits; another client's may be a name.
const ID_CHARACTERS_MAX: usize = 128;

/// What a FleetLock client says of itself.
#[derive(serde::Deserialize)]
struct Request {
    client_params: Client,
}

#[derive(serde::Deserialize)]
struct Client {
    id: String,
    group: String,
}

/// Why a lock is not given or not released.
#[derive(Debug, thiserror::Error)]
pub enum Unlocked {
    #[error("{0}")]
    NotNow(#[from] NotNow),
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("the header {HEADER}: true is missing: this is not a FleetLock client")]
    NoHeader,
    #[error("the id is not 1 to {ID_CHARACTERS_MAX} printable characters")]
    BadId,
    #[error("the group is {said:?}, and {host} is in {expected}; see /etc/zincati/config.d on the host")]
    WrongGroup { host: String, said: String, expected: &'static str },
}

pub async fn pre_reboot(
    state: &ServerState,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<StatusCode, Unlocked> {
    let served = state.status().served()?;
    let inventory = &served.generation.inventory;
    let (host, id) = client(inventory, caller, headers, body).await?;
    // One after the other: what servers answered is still so when the lock is given.
    let _turn = state.reboots.lock().await;
    let given = give(state, inventory, host, id).await;
    match &given {
        Ok(()) => tracing::info!(host = host.name.as_str(), "may reboot into an update"),
        Err(why) => tracing::info!(host = host.name.as_str(), "may not reboot into an update now: {why}"),
    }
    given.map(|()| StatusCode::OK)
}

async fn give(state: &ServerState, inventory: &Inventory, host: &Host, id: String) -> Result<(), Unlocked> {
    boot::is_turn_of(inventory, host, &state.chronicle.history(), &id, now())?;
    let readiness = state.readiness.of(boot::to_be_asked(inventory, host)).await;
    boot::may_reboot(inventory, host, &state.chronicle.history(), &readiness, &id, now())?;
    let locked = state.chronicle.record_of(host, Event::RebootLocked { id }).await;
    Ok(locked.map_err(Refusal::journal)?)
}

/// At once, though k3s may still be starting: Zincati looks for no update before it was told 200, and the next server that
/// asks gets the lock only when this one is ready again.
pub async fn steady_state(
    state: &ServerState,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<StatusCode, Unlocked> {
    let served = state.status().served()?;
    let (host, id) = client(&served.generation.inventory, caller, headers, body).await?;
    let name = host.name.as_str();
    let lock = state.chronicle.history().of(name).and_then(|known| known.reboot.clone());
    match lock {
        Some(lock) if lock.id == id => {
            tracing::info!(host = name, "is back from its reboot");
            let released = Event::RebootReleased { by: ReleasedBy::Host };
            state.chronicle.record(&host.name, released).await.map_err(Refusal::journal)?;
        }
        Some(lock) => tracing::warn!(
            host = name,
            "is back under another id than the one that holds its reboot lock since {}; `pxe-serve unlock {name}` releases it",
            lock.at
        ),
        None => {}
    }
    Ok(StatusCode::OK)
}

/// Which host this is, and by which id it holds a lock.
async fn client<'i>(
    inventory: &'i Inventory,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(&'i Host, String), Unlocked> {
    if headers.get(HEADER).is_none_or(|value| value != "true") {
        return Err(Unlocked::NoHeader);
    }
    let host = caller.must_be_a_host(inventory)?;
    let body = report::read(body).await?;
    let Request { client_params: Client { id, group } } =
        serde_json::from_slice(&body).map_err(|error| Refusal::BadBody(error.to_string()))?;
    let length = id.chars().count();
    if !(1..=ID_CHARACTERS_MAX).contains(&length) || id.chars().any(char::is_control) {
        return Err(Unlocked::BadId);
    }
    if group != host.update_group() {
        let said = group.chars().take(ID_CHARACTERS_MAX).collect();
        return Err(Unlocked::WrongGroup {
            host: host.name.to_string(),
            said,
            expected: host.update_group(),
        });
    }
    Ok((host, id))
}

impl Unlocked {
    fn status(&self) -> StatusCode {
        match self {
            Unlocked::NotNow(_) => StatusCode::CONFLICT,
            Unlocked::Refused(refusal) => refusal.status(),
            Unlocked::NoHeader | Unlocked::BadId | Unlocked::WrongGroup { .. } => StatusCode::BAD_REQUEST,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Unlocked::NotNow(not_now) => not_now.kind(),
            Unlocked::Refused(refusal) if refusal.status().is_server_error() => "server_failed",
            Unlocked::Refused(refusal) if refusal.status() == StatusCode::FORBIDDEN => "not_a_host",
            Unlocked::Refused(_) => "bad_request",
            Unlocked::NoHeader => "no_header",
            Unlocked::BadId => "bad_id",
            Unlocked::WrongGroup { .. } => "wrong_group",
        }
    }
}

impl IntoResponse for Unlocked {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "kind": self.kind(), "value": self.to_string() });
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        (self.status(), headers, format!("{body}\n")).into_response()
    }
}
