//! Which request goes where. A handler extracts, looks up and answers; everything it says was made at load.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::answer::answer;
use super::caller::Caller;
use super::find::{Found, find};
use super::fleetlock::Unlocked;
use super::refusal::Refusal;
use super::script::Asked;
use super::state::ServerState;
use super::target::Target;
use super::{fetched, fleetlock, health, hosts, listing, log, report, script, snapshots, static_file};

type Shared = State<Arc<ServerState>>;

pub fn routes(state: Arc<ServerState>) -> Router {
    Router::new()
        .route("/healthz", only_reading(get(healthz)))
        .route("/readyz", only_reading(get(readyz)))
        .route("/pxe/boot.ipxe", only_reading(get(entry)))
        .route("/pxe/ipxe", only_reading(get(script)))
        .route("/pxe/ipxe/", only_reading(get(script)))
        .route("/pxe/ipxe/{file}", only_reading(get(script)))
        .route("/pxe/events/{host}", post(report).fallback(|| async { Refusal::Method("POST") }))
        .route("/pxe/cluster-ca", only_reading(get(cluster_ca)))
        .route("/pxe/hosts", only_reading(get(hosts)))
        .route(
            "/pxe/hosts/{host}/arm",
            post(arm).delete(disarm).fallback(|| async { Refusal::Method("POST, DELETE") }),
        )
        .route(
            "/pxe/hosts/{host}/reboot-lock",
            delete(unlock).fallback(|| async { Refusal::Method("DELETE") }),
        )
        .route("/v1/pre-reboot", post(pre_reboot).fallback(|| async { Refusal::Method("POST") }))
        .route("/v1/steady-state", post(steady_state).fallback(|| async { Refusal::Method("POST") }))
        .route("/pxe/snapshots", only_reading(get(list_snapshots)))
        .route("/pxe/snapshots/newest", only_reading(get(newest_snapshot)))
        .route(
            "/pxe/snapshots/{host}/{name}",
            get(give_snapshot).put(receive_snapshot).fallback(|| async { Refusal::Method("GET, HEAD, PUT") }),
        )
        .fallback(only_reading(get(file)))
        .with_state(state.clone())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state, log::request))
}

/// `get` answers HEAD as well; everything else is 405.
fn only_reading(get: MethodRouter<Arc<ServerState>>) -> MethodRouter<Arc<ServerState>> {
    get.fallback(|| async { Refusal::Method("GET, HEAD") })
}

async fn file(State(state): Shared, target: Target) -> Result<Response, Refusal> {
    let found = find(&state, &target).await?;
    fetched::note(&state, &target, &found);
    Ok(match found {
        Found::Artifact(representation) => answer(representation, &target.headers),
        Found::Static(file) => static_file::answer(file, &target, state.static_reads.clone()).await?,
        Found::Folder(folder) => listing::answer(&folder, &target.headers)?,
    })
}

/// The file that every machine begins with.
async fn entry(state: Shared, target: Target) -> Result<Response, Refusal> {
    script::or_said(file(state, target).await)
}

async fn script(State(state): Shared, asked: Asked) -> Result<Response, Refusal> {
    match asked {
        Asked::File(target) => file(State(state), target).await,
        Asked::Script(request) => Ok(script::script(&state, request).await),
    }
}

async fn report(
    State(state): Shared,
    caller: Caller,
    Path(host): Path<String>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    report::report(&state, &caller, &host, body).await
}

async fn hosts(State(state): Shared, caller: Caller) -> Result<Response, Refusal> {
    hosts::list(&state, &caller).await
}

async fn cluster_ca(State(state): Shared) -> Result<Response, Refusal> {
    hosts::cluster_ca(&state)
}

async fn arm(
    State(state): Shared,
    caller: Caller,
    Path(host): Path<String>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    hosts::arm(&state, &caller, &host, body).await
}

async fn disarm(
    State(state): Shared,
    caller: Caller,
    Path(host): Path<String>,
) -> Result<StatusCode, Refusal> {
    hosts::disarm(&state, &caller, &host).await
}

async fn unlock(
    State(state): Shared,
    caller: Caller,
    Path(host): Path<String>,
) -> Result<StatusCode, Refusal> {
    hosts::unlock(&state, &caller, &host).await
}

async fn pre_reboot(
    State(state): Shared,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Unlocked> {
    fleetlock::pre_reboot(&state, &caller, &headers, body).await
}

async fn steady_state(
    State(state): Shared,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Unlocked> {
    fleetlock::steady_state(&state, &caller, &headers, body).await
}

async fn list_snapshots(State(state): Shared, caller: Caller) -> Result<Response, Refusal> {
    snapshots::list(&state, &caller).await
}

async fn newest_snapshot(State(state): Shared, caller: Caller) -> Result<Response, Refusal> {
    snapshots::newest(&state, &caller).await
}

async fn give_snapshot(
    State(state): Shared,
    caller: Caller,
    Path((host, name)): Path<(String, String)>,
    target: Target,
) -> Result<Response, Refusal> {
    snapshots::give(&state, &caller, (&host, &name), &target).await
}

async fn receive_snapshot(
    State(state): Shared,
    caller: Caller,
    Path((host, name)): Path<(String, String)>,
    target: Target,
    body: Body,
) -> Result<StatusCode, Refusal> {
    snapshots::receive(&state, &caller, (&host, &name), &target, body).await
}

async fn healthz(State(state): Shared) -> Response {
    health::healthz(&state.status())
}

async fn readyz(State(state): Shared) -> Response {
    health::readyz(&state.status())
}

/// A bug of ours, so a boot client shall come back. What the panic says goes to the log (the standard hook), not out.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Refusal::Ours("a bug in pxe-serve kept it from answering; its log says more").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn broken() -> Response {
        panic!("k3s-keep")
    }

    #[tokio::test]
    async fn a_panic_in_a_handler_is_our_failure_and_says_nothing_about_itself() {
        use tower::ServiceExt as _;
        let routes: Router = Router::new().route("/", get(broken));
        let routes = routes.layer(CatchPanicLayer::custom(panicked));
        let response = routes.oneshot(axum::extract::Request::new(axum::body::Body::empty())).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"5".parse().unwrap())
        );
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("k3s-keep"));
    }
}
