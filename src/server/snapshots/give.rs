//! What a snapshot is given for: to the operator to look after, to a host to restore the cluster from it.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use crate::inventory::Inventory;

use super::super::access::SecretsPolicy;
use super::super::caller::Caller;
use super::super::refusal::Refusal;
use super::super::state::ServerState;
use super::super::static_file;
use super::super::target::{Place, Target};
use super::refusal::SnapshotRefusal;

/// `GET /pxe/snapshots/newest`: `SHA256  HOST/NAME` of the newest whose bytes still are what they were.
pub async fn newest(state: &ServerState, caller: &Caller) -> Result<Response, Refusal> {
    may_have(state, caller, &state.status().served()?.generation.inventory)?;
    let store = state.snapshots.store()?.clone();
    // An error of the task is the runtime shutting down.
    let newest = tokio::task::spawn_blocking(move || store.newest_whole()).await;
    let newest = newest.map_err(|_| SnapshotRefusal::Disk)?.map_err(|error| SnapshotRefusal::disk(&error))?;
    let newest = newest.ok_or(SnapshotRefusal::None)?;
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, format!("{}  {}/{}\n", newest.sha256, newest.host, newest.name)).into_response())
}

/// `GET /pxe/snapshots/HOST/NAME`, with `?sha256=` as other files.
pub async fn give(
    state: &ServerState,
    caller: &Caller,
    (host, name): (&str, &str),
    target: &Target,
) -> Result<Response, Refusal> {
    may_have(state, caller, &state.status().served()?.generation.inventory)?;
    let Place::Path(path) = &target.place else { return Err(SnapshotRefusal::None.into()) };
    let all = state.snapshots.all().await?;
    let kept = all.into_iter().find(|kept| (kept.host.as_str(), kept.name.as_str()) == (host, name));
    let kept = kept.ok_or_else(|| Refusal::Unknown(path.clone()))?;
    let store = state.snapshots.store()?.clone();
    let place = static_file::Place {
        path: path.clone(),
        folder: store.folder().to_owned(),
        name: kept.file(),
        known: store.as_static(&kept).map_err(|error| SnapshotRefusal::disk(&error))?,
    };
    let mut response = static_file::answer(place, target, state.static_reads.clone()).await?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tracing::info!("gives the snapshot {}/{}", kept.host, kept.name);
    Ok(response)
}

/// The host by its address alone: `--secrets lan` does not open this.
fn may_have(state: &ServerState, caller: &Caller, inventory: &Inventory) -> Result<(), Refusal> {
    if caller.must_be_operator(inventory).is_ok() {
        return Ok(());
    }
    let first = &inventory.k3s.bootstrap_host;
    caller.must_be_host(first, inventory, SecretsPolicy::OwnHost).map_err(|_| SnapshotRefusal::Secret)?;
    let is_restoring = state.chronicle.history().of(first.as_str()).is_some_and(|known| known.restoring);
    match is_restoring {
        true => Ok(()),
        false => Err(SnapshotRefusal::Secret.into()),
    }
}
