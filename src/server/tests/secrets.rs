//! Who gets an artifact that carries a secret. Addresses other than loopback's are put in by hand, below the socket.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use tower::ServiceExt as _;

use crate::generation::Generation;
use crate::server::SecretsPolicy;
use crate::server::archive::Archive;
use crate::server::journal::Chronicle;
use crate::server::peer::Peer;
use crate::server::routes::routes;
use crate::server::state::{Served, ServerState, Status};

use super::client::config;
use super::site::{CONF, SCRIPT, generation, inventory};

fn state(secrets: SecretsPolicy) -> Arc<ServerState> {
    let archive = Archive::open(config().keep_generations_for, 0..=1 << 20, None).unwrap();
    Arc::new(ServerState::new(secrets, archive, Chronicle::open(None).unwrap()))
}

fn serve(state: &ServerState, generation: Generation) {
    let old = state.status();
    let new = Served::new(generation, SystemTime::now());
    state.archive.turn(old.served.as_ref().map(|old| &old.generation), &new.generation);
    state.set_status(Status { served: Some(Arc::new(new)), failure: None });
}

async fn get(state: &Arc<ServerState>, peer: &str, target: &str) -> Response {
    get_as(state, peer, "192.168.26.1", target).await
}

async fn get_as(state: &Arc<ServerState>, peer: &str, host: &str, target: &str) -> Response {
    let peer = match peer {
        "operator" => Peer::Operator,
        address => Peer::at(address.parse().unwrap(), [192, 168, 26, 1].into()),
    };
    let request = Request::builder().uri(format!("/{target}")).header("host", host).extension(peer);
    routes(state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_secret_goes_to_whom_the_option_says_and_to_nobody_else() {
    use SecretsPolicy::{Lan, Loopback, OwnHost};
    // (peer, own-host, lan, loopback)
    let matrix = [
        ("operator", true, true, true),
        // Whatever forwards here comes from here.
        ("127.0.0.1", false, false, true),
        ("127.9.9.9", false, false, true),
        ("::1", false, false, true),
        ("::ffff:127.0.0.1", false, false, true),
        // This machine, asking its own address.
        ("192.168.26.1", false, false, false),
        // lenovo1, whose secret it is; also as seen by a socket on [::].
        ("192.168.26.5", true, true, false),
        ("::ffff:192.168.26.5", true, true, false),
        // lenovo2.
        ("192.168.26.6", false, true, false),
        // Somebody on the network, and somebody who is not.
        ("192.168.26.77", false, true, false),
        ("192.168.27.5", false, false, false),
        ("::ffff:10.0.0.5", false, false, false),
        ("2001:db8::5", false, false, false),
        ("fe80::1", false, false, false),
    ];
    for (peer, own_host, lan, loopback) in matrix {
        for (secrets, allowed) in [(OwnHost, own_host), (Lan, lan), (Loopback, loopback)] {
            let state = state(secrets);
            serve(&state, generation("a"));
            let status = get(&state, peer, CONF).await.status();
            let expected = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(status, expected, "{peer} with {secrets:?}");
            assert_eq!(get(&state, peer, SCRIPT).await.status(), StatusCode::OK, "public is public");
        }
    }
}

#[tokio::test]
async fn the_refusal_names_the_address_and_the_option_and_leaks_neither_bytes_nor_digest() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    let response = get(&state, "::ffff:192.168.26.6", CONF).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers().get("etag"), None);
    let reason = text(response).await;
    assert!(reason.contains("192.168.26.6 may not") && !reason.contains("ffff"), "{reason}");
    assert!(reason.contains("--secrets own-host"), "{reason}");
    let response = get(&state, "192.168.26.6", &format!("{CONF}?sha256={}", "0".repeat(64))).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN, "not even the current digest is told");
}

#[tokio::test]
async fn at_this_machine_the_refusal_says_what_to_do_instead() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    let reason = text(get(&state, "127.0.0.1", CONF).await).await;
    for remedy in ["pxe-serve show PATH", "--unix-socket STATE_DIR/operator.sock", "--secrets loopback"] {
        assert!(reason.contains(remedy), "{reason}");
    }
}

#[tokio::test]
async fn what_says_that_it_was_forwarded_gets_no_secret_whatever_its_peer() {
    let state = state(SecretsPolicy::Loopback);
    serve(&state, generation("a"));
    for peer in ["operator", "127.0.0.1", "192.168.26.5", "192.168.26.77"] {
        for header in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"] {
            let request = |path| Request::builder().uri(format!("/{path}")).header(header, "203.0.113.9");
            let peer = match peer {
                "operator" => Peer::Operator,
                address => Peer::at(address.parse().unwrap(), [192, 168, 26, 1].into()),
            };
            for (path, status) in [(CONF, 403), (pinned("a").as_str(), 403), (SCRIPT, 200)] {
                let request = request(path).extension(peer).body(Body::empty()).unwrap();
                let response = routes(state.clone()).oneshot(request).await.unwrap();
                assert_eq!(response.status().as_u16(), status, "{peer} {header} {path}");
                let text = text(response).await;
                assert_eq!(text.contains(&format!("its header {header}")), status == 403, "{text}");
            }
        }
    }
}

#[tokio::test]
async fn if_none_match_is_no_oracle_for_a_secret() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    let peer = Peer::at([192, 168, 26, 6].into(), [192, 168, 26, 1].into());
    let request = Request::builder().uri(format!("/{CONF}")).header("if-none-match", "*").extension(peer);
    let response = routes(state).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

/// `generation(mark)` in which lenovo1 is at `address`, or gone.
fn moved(mark: &str, address: Option<&str>) -> Generation {
    let mut inventory = inventory();
    match address {
        Some(address) => inventory.hosts[0].addresses = vec![address.parse().unwrap()],
        None => _ = inventory.hosts.remove(0),
    }
    Generation { inventory, ..generation(mark) }
}

fn pinned(mark: &str) -> String {
    format!("{CONF}?sha256={}", generation(mark).catalogue.get(CONF).unwrap().digest().sha256)
}

#[tokio::test]
async fn an_earlier_generation_is_as_secret_as_it_was() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    serve(&state, generation("b"));
    assert_eq!(get(&state, "192.168.26.5", &pinned("a")).await.status(), StatusCode::OK);
    assert_eq!(get(&state, "192.168.26.6", &pinned("a")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_host_that_moved_or_left_still_gets_what_it_was_promised() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    serve(&state, moved("b", Some("192.168.26.9")));
    assert_eq!(get(&state, "192.168.26.9", &pinned("a")).await.status(), StatusCode::OK, "by its name");
    assert_eq!(
        get(&state, "192.168.26.5", &pinned("a")).await.status(),
        StatusCode::OK,
        "by its address then"
    );
    serve(&state, moved("c", None));
    assert_eq!(get(&state, "192.168.26.5", &pinned("a")).await.status(), StatusCode::OK);
    assert_eq!(get(&state, "192.168.26.77", &pinned("a")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn who_took_over_an_address_does_not_inherit_the_secrets() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    let mut next = moved("b", Some("192.168.26.9"));
    let lenovo1s: IpAddr = "192.168.26.5".parse().unwrap();
    next.inventory.hosts[1].addresses = vec![lenovo1s];
    serve(&state, next);
    assert_eq!(get(&state, "192.168.26.5", &pinned("a")).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_host_that_is_renamed_during_its_boot_still_gets_what_it_was_promised() {
    // With its MAC, whatever its address; and with another MAC where it was, as long as its old name is nobody's.
    let [its, other] = ["52:54:00:00:00:01", "52:54:00:00:00:99"];
    for (mac, address, allowed) in [
        (its, "192.168.26.5", true),
        (its, "192.168.26.9", true),
        (other, "192.168.26.5", true),
        (other, "192.168.26.9", false),
    ] {
        let state = state(SecretsPolicy::OwnHost);
        serve(&state, generation("a"));
        let mut next = moved("b", Some(address));
        next.inventory.hosts[0].name = "node7".parse().unwrap();
        next.inventory.hosts[0].macs = vec![mac.parse().unwrap()];
        serve(&state, next);
        let expected = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(get(&state, address, &pinned("a")).await.status(), expected, "{mac} {address}");
        assert_eq!(
            get(&state, address, CONF).await.status(),
            StatusCode::FORBIDDEN,
            "what is current is lenovo1's"
        );
        assert_eq!(get(&state, "192.168.26.6", &pinned("a")).await.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn hosts_that_exchange_their_names_keep_what_their_machines_were_promised() {
    let state = state(SecretsPolicy::OwnHost);
    serve(&state, generation("a"));
    let mut next = moved("b", Some("192.168.26.5"));
    next.inventory.hosts[0].name = "lenovo2".parse().unwrap();
    next.inventory.hosts[1].name = "lenovo1".parse().unwrap();
    serve(&state, next);
    assert_eq!(get(&state, "192.168.26.5", &pinned("a")).await.status(), StatusCode::OK, "its MAC");
    assert_eq!(get(&state, "192.168.26.6", &pinned("a")).await.status(), StatusCode::OK, "its name");
}

#[tokio::test]
async fn a_web_page_cannot_read_secrets_through_the_browser_of_somebody_who_may() {
    for (peer, secrets) in [
        ("127.0.0.1", SecretsPolicy::Loopback),
        ("192.168.26.77", SecretsPolicy::Lan),
        ("operator", SecretsPolicy::OwnHost),
    ] {
        let state = state(secrets);
        serve(&state, generation("a"));
        for host in [
            "evil.example",
            "evil.example:8080",
            "EVIL.example",
            "192.168.26.1.evil.example",
            "x.lab.internal.evil.example",
        ] {
            let response = get_as(&state, peer, host, CONF).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{peer} {host}");
            assert!(text(response).await.contains("DNS rebinding"));
            assert_eq!(get_as(&state, peer, host, SCRIPT).await.status(), StatusCode::OK, "public is public");
        }
        for host in [
            "192.168.26.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "localhost:8080",
            "router",
            "Router.lab.internal:80",
            "",
        ] {
            assert_eq!(get_as(&state, peer, host, CONF).await.status(), StatusCode::OK, "{peer} {host}");
        }
    }
    let state = state(SecretsPolicy::Lan);
    serve(&state, generation("a"));
    let response = get_as(&state, "192.168.26.5", "boot.example:8080", CONF).await;
    assert_eq!(response.status(), StatusCode::OK, "a node boots by whatever name it was given");
}
