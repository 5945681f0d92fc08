//! What an operator at this machine may, and nobody else.

use super::asking::{LENOVO1, OPERATOR, STRANGER, Site};
use super::client::{config, start};
use super::site::{generation, good};

#[tokio::test]
async fn the_routes_of_the_operator_are_for_loopback_and_not_for_pages_in_a_browser() {
    let site = Site::new();
    for (method, uri) in
        [("GET", "/pxe/hosts"), ("POST", "/pxe/hosts/lenovo1/arm"), ("DELETE", "/pxe/hosts/lenovo1/arm")]
    {
        for (peer, headers, good) in [
            (OPERATOR, [("host", "127.0.0.1:8080")], true),
            (OPERATOR, [("host", "[::1]:8080")], true),
            (OPERATOR, [("host", "localhost")], true),
            (OPERATOR, [("host", "evil.example")], false),
            (OPERATOR, [("origin", "http://127.0.0.1:8080")], false),
            (LENOVO1, [("host", "192.168.26.1")], false),
            ([192, 168, 26, 1], [("host", "192.168.26.1")], false),
            (STRANGER, [("host", "localhost")], false),
        ] {
            let reply = site.ask(peer, method, uri, &headers, "").await;
            assert_eq!(reply.status == 403, !good, "{method} {uri} {peer:?} {headers:?}: {}", reply.text);
        }
    }
}

#[tokio::test]
async fn arming_has_an_end_a_host_and_a_reason_when_it_is_refused() {
    let site = Site::new();
    for (uri, body, status) in [
        ("/pxe/hosts/lenovo1/arm", "", 204),
        ("/pxe/hosts/lenovo1/arm", "{}", 204),
        ("/pxe/hosts/lenovo2/arm", r#"{"for_seconds":60}"#, 204),
        ("/pxe/hosts/lenovo1/arm", r#"{"bootstrap":true}"#, 204),
        ("/pxe/hosts/lenovo2/arm", r#"{"bootstrap":true}"#, 400),
        ("/pxe/hosts/lenovo2/arm", r#"{"for_seconds":0}"#, 400),
        ("/pxe/hosts/lenovo2/arm", r#"{"for_seconds":18446744073709551615}"#, 400),
        ("/pxe/hosts/lenovo2/arm", r#"{"for":"ever"}"#, 400),
        ("/pxe/hosts/lenovo3/arm", "", 404),
    ] {
        assert_eq!(site.post(OPERATOR, uri, body).await.status, status, "{uri} {body}");
    }
    let armed = |host: &crate::boot::HostEntry| {
        host.history.armed.map(|arming| arming.until.since(arming.at).as_secs())
    };
    let hosts = site.roster().await.hosts;
    assert_eq!((armed(&hosts[0]), armed(&hosts[1])), (Some(1800), Some(60)));
    let off = site.ask(OPERATOR, "DELETE", "/pxe/hosts/lenovo1/arm", &[], "").await;
    assert_eq!((off.status, armed(&site.roster().await.hosts[0])), (204, None));
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let keeping = || crate::server::Config { state_dir: Some(folder.path().to_owned()), ..config() };
    let server = start(keeping(), || good(generation("a"))).await;
    let body = r#"{"event":"installed","config":"lenovo1-reinstall"}"#;
    let length = body.len().to_string();
    let request = format!(
        "POST /pxe/events/lenovo1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    assert_eq!(server.raw(&request).await.status, 204);
    server.end().await;
    let server = start(keeping(), || good(generation("a"))).await;
    let hosts = server.get("/pxe/hosts").await;
    assert!(hosts.text().contains("lenovo1-reinstall installed 2"), "{}", hosts.text());
}
