//! Which Ignition version a node gets.

use crate::server::peer::Peer;

use super::client::{config, start};
use super::site::{IGNITION, SCRIPT, generation, good, public, with};

fn accept(version: &str) -> String {
    // As Ignition 2.14 sends it.
    format!("application/vnd.coreos.ignition+json;version={version}, */*;q=0.1")
}

#[tokio::test]
async fn a_node_gets_the_newest_version_that_it_says_it_reads() {
    let server = start(config(), || good(generation("a"))).await;
    let cases = [
        (accept("3.5.0"), "3.4.0"),
        (accept("3.4.0"), "3.4.0"),
        (accept("3.3.0"), "3.3.0"),
        (accept("3.3.0-experimental"), "3.3.0"),
        (accept("\"3.3.0\""), "3.3.0"),
        ("APPLICATION/VND.COREOS.IGNITION+JSON; Version=3.3.0".to_owned(), "3.3.0"),
        // Too old for both: as it is, since it also takes anything.
        (accept("3.2.0"), "3.4.0"),
        (accept("2.4.0"), "3.4.0"),
        ("*/*".to_owned(), "3.4.0"),
        ("application/vnd.coreos.ignition+json".to_owned(), "3.4.0"),
        ("application/vnd.coreos.ignition+json;version=99999999999.x, ;;,=".to_owned(), "3.4.0"),
        ("application/vnd.coreos.ignition+json;version=3.3.0;q=0".to_owned(), "3.4.0"),
    ];
    for (accept, expected) in cases {
        let reply = server.send("GET", &format!("/{IGNITION}"), &[("Accept", &accept)]).await;
        assert_eq!((reply.status, reply.header("vary")), (200, Some("Accept")));
        assert!(reply.text().contains(&format!(r#""version":"{expected}""#)), "{accept}: {}", reply.text());
        let sha256 = crate::catalogue::Sha256::of(&reply.body).to_string();
        assert_eq!(reply.header("x-checksum-sha256"), Some(sha256.as_str()), "{accept}");
        assert_eq!(reply.header("etag"), Some(format!("\"sha256-{sha256}\"").as_str()), "{accept}");
    }
}

#[tokio::test]
async fn the_two_forms_have_validators_of_their_own() {
    let server = start(config(), || good(generation("a"))).await;
    let newest = server.get(&format!("/{IGNITION}")).await;
    let headers = [("Accept", &*accept("3.3.0")), ("If-None-Match", newest.header("etag").unwrap())];
    assert_eq!(server.send("GET", &format!("/{IGNITION}"), &headers).await.status, 200);
    let lower = server.send("GET", &format!("/{IGNITION}"), &headers[..1]).await;
    let headers = [("Accept", &*accept("3.3.0")), ("If-None-Match", lower.header("etag").unwrap())];
    let reply = server.send("GET", &format!("/{IGNITION}"), &headers).await;
    assert_eq!((reply.status, reply.header("vary")), (304, Some("Accept")));
}

#[tokio::test]
async fn each_form_can_be_pinned_by_its_digest() {
    let server = start(config(), || good(generation("a"))).await;
    let lower = server.send("GET", &format!("/{IGNITION}"), &[("Accept", &accept("3.3.0"))]).await;
    let digest = lower.header("x-checksum-sha256").unwrap();
    let reply = server.get(&format!("/{IGNITION}?sha256={digest}")).await;
    assert_eq!((reply.status, reply.body), (200, lower.body));
}

#[tokio::test]
async fn what_is_no_ignition_does_not_vary() {
    let server = start(config(), || good(generation("a"))).await;
    let reply = server.send("GET", &format!("/{SCRIPT}"), &[("Accept", &accept("3.3.0"))]).await;
    assert_eq!((reply.status, reply.header("vary")), (200, None));
}

#[tokio::test]
async fn a_node_that_is_too_old_is_named_once_and_served_all_the_same() {
    let server = start(config(), || {
        let mut ignition = public(IGNITION, r#"{"ignition":{"version":"3.4.0"}}"#);
        ignition.ignition_version = Some((3, 4));
        good(with(vec![(IGNITION, ignition)]))
    })
    .await;
    let reply = server.send("GET", &format!("/{IGNITION}"), &[("Accept", &accept("3.3.0"))]).await;
    assert_eq!(reply.status, 200);
    let client = Peer::ThisMachine([127, 0, 0, 1].into());
    assert!(!server.state.first_warning(client, IGNITION), "the request has warned already");
    assert!(server.state.first_warning(client, "another"), "the next artifact is news");
}
