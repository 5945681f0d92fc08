//! What the operator may, over the socket in the state folder, and nobody else.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::server::SecretsPolicy;
use crate::server::peer::Peer;

use super::asking::{LENOVO1, LOOPBACK, OPERATOR, STRANGER, Site};
use super::client::{config, start};
use super::site::{CONF, generation, good};

#[tokio::test]
async fn the_routes_of_the_operator_are_for_the_socket_and_not_for_pages_in_a_browser() {
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
            (OPERATOR, [("x-forwarded-for", "203.0.113.9")], false),
            (LOOPBACK, [("host", "127.0.0.1:8080")], false),
            (LOOPBACK, [("x-forwarded-for", "127.0.0.1")], false),
            (LENOVO1, [("host", "192.168.26.1")], false),
            (Peer::ThisMachine([192, 168, 26, 1].into()), [("host", "192.168.26.1")], false),
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
    assert!(ask(folder.path(), &request).await.starts_with("HTTP/1.1 204 "));
    server.end().await;
    let server = start(keeping(), || good(generation("a"))).await;
    let hosts = ask(folder.path(), "GET /pxe/hosts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(hosts.contains("lenovo1-reinstall installed 2"), "{hosts}");
    server.end().await;
}

/// What a server answers over the socket in its folder.
async fn ask(folder: &std::path::Path, request: &str) -> String {
    let mut stream = UnixStream::connect(folder.join("operator.sock")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_one_that_a_killed_server_left_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let socket = folder.path().join("operator.sock");
    for _ in 0..2 {
        let keeping = crate::server::Config {
            state_dir: Some(folder.path().to_owned()),
            secrets: SecretsPolicy::OwnHost,
            ..config()
        };
        let server = start(keeping, || good(generation("a"))).await;
        let meta = std::fs::metadata(&socket).unwrap();
        assert!(meta.file_type().is_socket() && meta.permissions().mode() & 0o777 == 0o600, "{meta:?}");
        let get = |path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let secret = ask(folder.path(), &get(format!("/{CONF}"))).await;
        assert!(secret.contains("k3s-keep"), "{secret}");
        let by_tcp = server.get(&format!("/{CONF}")).await;
        assert!(by_tcp.status == 403 && !by_tcp.text().contains("k3s-keep"), "{}", by_tcp.text());
        for (method, path) in [("GET", "/pxe/hosts"), ("POST", "/pxe/hosts/lenovo1/arm")] {
            assert_eq!(server.send(method, path, &[("Content-Length", "0")]).await.status, 403, "{path}");
        }
        server.end().await;
        assert!(socket.exists(), "as after a kill");
    }
}

/// One client that takes every connection of the network keeps no operator out.
#[tokio::test]
async fn a_full_house_keeps_no_operator_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut full = crate::server::Config { state_dir: Some(folder.path().to_owned()), ..config() };
    full.limits.connections = 1;
    let server = start(full, || good(generation("a"))).await;
    let _silent = server.connect().await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let hosts = ask(folder.path(), "GET /pxe/hosts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(hosts.contains("lenovo1"), "{hosts}");
}
