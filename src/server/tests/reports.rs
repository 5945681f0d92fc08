//! What nodes report: who may, and what it must look like.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::body::Bytes;

use crate::server::SecretsPolicy;
use crate::server::peer::Peer;

use super::asking::{LENOVO1, LENOVO2, LOOPBACK, OPERATOR, STRANGER, Site};

const BOOTED: &str = r#"{"event":"booted","config":"lenovo1"}"#;

#[tokio::test]
async fn a_host_reports_for_itself_and_the_operator_for_it() {
    let own_address = Peer::ThisMachine([192, 168, 26, 1].into());
    for (peer, status) in [
        (LENOVO1, 204),
        (OPERATOR, 204),
        (LOOPBACK, 403),
        (own_address, 403),
        (LENOVO2, 403),
        (STRANGER, 403),
    ] {
        let site = Site::new();
        assert_eq!(site.post(peer, "/pxe/events/lenovo1", BOOTED).await.status, status, "{peer:?}");
        assert_eq!(site.events("lenovo1").await.len(), usize::from(status == 204), "{peer:?}");
    }
}

/// A node at another address than the inventory's gets its secrets there, and installs.
#[tokio::test]
async fn who_may_have_a_hosts_secrets_by_its_network_reports_for_it_as_well() {
    let site = Site::with_secrets(SecretsPolicy::Lan);
    for (peer, status) in
        [(STRANGER, 204), (LENOVO2, 403), (LOOPBACK, 403), (Peer::Network([10, 0, 0, 1].into()), 403)]
    {
        assert_eq!(site.post(peer, "/pxe/events/lenovo1", BOOTED).await.status, status, "{peer:?}");
    }
    let page = [("host", "192.168.26.1"), ("origin", "http://evil.example")];
    assert_eq!(site.ask(STRANGER, "POST", "/pxe/events/lenovo1", &page, BOOTED).await.status, 403);
}

#[tokio::test]
async fn what_is_no_report_is_refused_with_the_reason() {
    let site = Site::new();
    let long = format!(r#"{{"event":"booted","config":"lenovo1","message":"{}"}}"#, "x".repeat(5000));
    for (body, reason) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "invalid length"),
        (r#"{"event":"exploded","config":"lenovo1"}"#, "unknown variant"),
        (r#"{"event":"booted"}"#, "missing field `config`"),
        (r#"{"event":"booted","config":"lenovo2"}"#, "no config \"lenovo2\""),
        (r#"{"event":"booted","config":"lenovo1","ignition":"0123"}"#, "no SHA-256"),
        (r#"{"event":"joined","config":"lenovo1","ca_sha256":"0123"}"#, "`ca_sha256` is no SHA-256"),
        (&long, "longer than 4096 bytes"),
    ] {
        let reply = site.post(LENOVO1, "/pxe/events/lenovo1", body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.text.contains(reason), "{}", reply.text);
    }
    assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo3", BOOTED).await.status, 404);
    assert_eq!(site.post(LENOVO1, "/pxe/events/%FF", BOOTED).await.status, 400);
    assert_eq!(site.events("lenovo1").await, [""; 0]);
}

#[tokio::test]
async fn what_was_said_is_kept_without_what_a_terminal_would_act_upon() {
    let site = Site::new();
    let digest = "ab".repeat(32);
    let report = format!(
        r#"{{"event":"install_failed","config":"lenovo1-bootstrap","ignition":"{digest}","message":"no\u001b[2J disk\nat all"}}"#
    );
    assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo1", &report).await.status, 204);
    assert_eq!(site.events("lenovo1").await, ["install of lenovo1-bootstrap failed: no [2J disk at all"]);
}

#[tokio::test]
async fn each_stage_of_a_node_is_taken_with_what_it_says_of_it() {
    let site = Site::new();
    let digest = "ab".repeat(32);
    for (fields, event) in [
        (r#""event":"booted""#.to_owned(), "booted lenovo1 from its disk"),
        (r#""event":"booted","again":true"#.to_owned(), "booted lenovo1 from its disk"),
        (
            r#""event":"layering","message":"k3s-selinux""#.to_owned(),
            "adds packages to its operating system: k3s-selinux",
        ),
        (r#""event":"rebooting","message":"for k3s-selinux""#.to_owned(), "reboots: for k3s-selinux"),
        (r#""event":"k3s_started""#.to_owned(), "k3s started"),
        (format!(r#""event":"joined","ca_sha256":"{digest}""#), "joined the cluster"),
        (
            r#""event":"step_failed","message":"k3s-install.service: exit-code\ncurl:\u202e no\u200b host""#
                .to_owned(),
            "a step failed: k3s-install.service: exit-code curl: no host",
        ),
    ] {
        let report = format!(r#"{{{fields},"config":"lenovo1"}}"#);
        assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo1", &report).await.status, 204, "{report}");
        assert_eq!(site.events("lenovo1").await.last().unwrap(), event);
    }
    let long = format!(r#"{{"event":"step_failed","config":"lenovo1","message":"{}"}}"#, "é".repeat(1500));
    assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo1", &long).await.status, 204);
    let kept = site.events("lenovo1").await.last().unwrap().chars().count();
    assert_eq!(kept, "a step failed: ".len() + 1000);
}

#[tokio::test]
async fn the_clusters_ca_is_told_to_everybody_once_a_server_has_joined() {
    let site = Site::new();
    let asked = site.ask(STRANGER, "GET", "/pxe/cluster-ca", &[], "").await;
    assert_eq!(asked.status, 404, "{}", asked.text);
    let digest = "ab".repeat(32);
    let joined = format!(r#"{{"event":"joined","config":"lenovo1","ca_sha256":"{digest}"}}"#);
    assert_eq!(site.post(LENOVO1, "/pxe/events/lenovo1", &joined).await.status, 204);
    let asked = site.ask(STRANGER, "GET", "/pxe/cluster-ca", &[], "").await;
    assert_eq!((asked.status, asked.text), (200, format!("{digest}\n")));
    assert_eq!(site.ask(STRANGER, "POST", "/pxe/cluster-ca", &[], "").await.status, 405);
}

#[tokio::test]
async fn a_page_in_an_operators_browser_reports_nothing() {
    let site = Site::new();
    for headers in [&[("host", "evil.example:8080")], &[("origin", "http://evil.example")]] {
        let reply = site.ask(OPERATOR, "POST", "/pxe/events/lenovo1", headers, BOOTED).await;
        assert_eq!(reply.status, 403, "{headers:?}");
    }
}

#[tokio::test]
async fn a_report_that_was_forwarded_does_not_count() {
    let site = Site::with_secrets(SecretsPolicy::Lan);
    for peer in [LENOVO1, STRANGER, OPERATOR] {
        let headers = [("host", "192.168.26.1"), ("x-forwarded-for", "192.168.26.5")];
        let reply = site.ask(peer, "POST", "/pxe/events/lenovo1", &headers, BOOTED).await;
        assert_eq!(reply.status, 403, "{peer}");
        assert!(reply.text.contains("x-forwarded-for"), "{}", reply.text);
    }
    // Nor is it noted what somebody fetched through one.
    site.ask(LENOVO1, "GET", "/pxe/boot.ipxe", &[("via", "1.1 squid")], "").await;
    site.ask(LENOVO1, "GET", "/pxe/ipxe/lenovo1.ipxe", &[("via", "1.1 squid"), ("user-agent", "iPXE/1")], "")
        .await;
    assert_eq!(site.events("lenovo1").await, [""; 0]);
}

#[tokio::test]
async fn only_post_is_answered() {
    let site = Site::new();
    for method in ["GET", "PUT", "DELETE"] {
        let reply = site.ask(LENOVO1, method, "/pxe/events/lenovo1", &[], "").await;
        assert_eq!((reply.status, &reply.headers["allow"]), (405, &"POST".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    struct Never;
    impl hyper::body::Body for Never {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            std::task::Poll::Pending
        }
    }
    let (site, begin) = (Site::new(), Instant::now());
    let reply = site.ask(LENOVO1, "POST", "/pxe/events/lenovo1", &[], Body::new(Never)).await;
    assert_eq!(reply.status, 408);
    assert!(begin.elapsed() < Duration::from_secs(20));
}
