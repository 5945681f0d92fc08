//! Snapshots of etcd: who may hand in which, what is kept of them, and who sees them.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;

use crate::boot::Event;
use crate::catalogue::Sha256;
use crate::server::SnapshotList;
use crate::server::peer::Peer;

use super::asking::{LENOVO1, LENOVO2, OPERATOR, Reply, STRANGER, Site};

const NAME: &str = "etcd-snapshot-lenovo1-1764028800";

fn uri(name: &str, content: &str) -> String {
    format!("/pxe/snapshots/lenovo1/{name}?sha256={}", Sha256::of(content.as_bytes()))
}

async fn put(site: &Site, peer: Peer, uri: &str, content: &str) -> Reply {
    let length = content.len().to_string();
    let headers = [("host", "192.168.26.1"), ("content-length", &length)];
    site.ask(peer, "PUT", uri, &headers, content.to_owned()).await
}

async fn listed(site: &Site) -> SnapshotList {
    let reply = site.ask(OPERATOR, "GET", "/pxe/snapshots", &[("host", "localhost")], "").await;
    serde_json::from_str(&reply.text).expect(&reply.text)
}

/// A body that does not come.
struct Never {
    may_be_asked_for: bool,
}

impl hyper::body::Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        assert!(self.may_be_asked_for, "the body is asked for");
        Poll::Pending
    }
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder.join("snapshots/lenovo1")) else { return Vec::new() };
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_server_hands_in_its_own_snapshot_and_nobody_elses() {
    for (peer, status) in [(LENOVO1, 204), (LENOVO2, 403), (STRANGER, 403)] {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::with_snapshots(folder.path());
        let reply = put(&site, peer, &uri(NAME, "etcd"), "etcd").await;
        assert_eq!(reply.status, status, "{peer:?} {}", reply.text);
        assert_eq!(listed(&site).await.snapshots.len(), usize::from(status == 204), "{peer:?}");
    }
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_only_and_named_by_its_digest() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    assert_eq!(put(&site, LENOVO1, &uri(NAME, "etcd"), "etcd").await.status, 204);
    let name = format!("{NAME}.{}", Sha256::of(b"etcd"));
    assert_eq!(files(folder.path()), [name.as_str()]);
    let host = folder.path().join("snapshots/lenovo1");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&host.join(&name)), mode(&host)), (0o600, 0o700));
    assert_eq!(std::fs::read(host.join(&name)).unwrap(), b"etcd");
    let [entry] = &listed(&site).await.snapshots[..] else { panic!("one") };
    assert_eq!(
        (entry.name.as_str(), entry.bytes, entry.taken.to_string().as_str()),
        (NAME, 4, "2025-11-25T00:00:00Z")
    );
}

#[tokio::test]
async fn what_is_no_snapshot_is_refused_with_the_reason_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    let other = uri(NAME, "other");
    let too_big = (512 * 1024 * 1024 + 1).to_string();
    for (uri, length, status, reason) in [
        (other.as_str(), "4", 400, "SHA-256 of what arrived"),
        (&uri(NAME, "etcd"), "5", 400, "broke off after 4 of 5 bytes"),
        (&uri(NAME, "etcd"), "3", 400, "broke off after 4 of 3 bytes"),
        (&uri(NAME, "etcd"), "", 411, "Content-Length"),
        (&uri(NAME, "etcd"), &too_big, 413, "at most 536870912"),
        (&uri("x.part", "etcd"), "4", 400, "not the name of a snapshot"),
        (&uri(".x", "etcd"), "4", 400, ""),
        ("/pxe/snapshots/lenovo1/x", "4", 400, "sha256"),
        ("/pxe/snapshots/lenovo1/x?sha256=1", "4", 400, "sha256"),
        ("/pxe/snapshots/lenovo9/x", "4", 404, "no host lenovo9"),
    ] {
        let mut headers = vec![("host", "192.168.26.1")];
        headers.extend((!length.is_empty()).then_some(("content-length", length)));
        let reply = site.ask(LENOVO1, "PUT", uri, &headers, "etcd").await;
        assert_eq!(reply.status, status, "{uri} {length}: {}", reply.text);
        assert!(reply.text.contains(reason), "{}", reply.text);
        assert_eq!(files(folder.path()), [""; 0], "{uri} {length}");
    }
}

#[tokio::test]
async fn what_is_there_is_refused_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    assert_eq!(put(&site, LENOVO1, &uri(NAME, "etcd"), "etcd").await.status, 204);
    let headers = [("host", "192.168.26.1"), ("content-length", "4")];
    for (content, status) in [("etcd", 409), ("ETCD", 422)] {
        let reply = site
            .ask(LENOVO1, "PUT", &uri(NAME, content), &headers, Body::new(Never { may_be_asked_for: false }))
            .await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
}

#[tokio::test]
async fn the_newest_few_of_a_server_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    for taken in [3, 1, 2, 4] {
        let reply = put(&site, LENOVO1, &uri(&format!("etcd-snapshot-{taken}"), "etcd"), "etcd").await;
        assert_eq!(reply.status, 204, "{}", reply.text);
    }
    let names: Vec<String> = listed(&site).await.snapshots.iter().map(|kept| kept.name.to_string()).collect();
    assert_eq!(names, ["etcd-snapshot-4", "etcd-snapshot-3"]);
}

#[tokio::test]
async fn the_operator_alone_sees_the_list_and_what_it_warns_of() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    assert!(listed(&site).await.warning.unwrap().contains("no snapshot has arrived yet"));
    put(&site, LENOVO1, &uri(NAME, "etcd"), "etcd").await;
    assert!(listed(&site).await.warning.unwrap().contains("is of 2025-11-25T00:00:00Z"));
    let name = "etcd-snapshot-lenovo1-99999999999";
    put(&site, LENOVO1, &uri(name, "etcd"), "etcd").await;
    assert_eq!(listed(&site).await.warning, None);
    for peer in [LENOVO1, STRANGER] {
        assert_eq!(site.get(peer, "/pxe/snapshots").await.status, 403, "{peer:?}");
        assert_eq!(site.get(peer, "/pxe/snapshots/").await.status, 404, "{peer:?}");
        assert_eq!(site.get(peer, &uri(NAME, "etcd")).await.status, 403, "{peer:?}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_none_says_so() {
    let without_state_dir = Site::new();
    let reply = put(&without_state_dir, LENOVO1, &uri(NAME, "etcd"), "etcd").await;
    assert_eq!((reply.status, reply.text.contains("k3s.snapshots: router")), (403, true));
    let reply = without_state_dir.ask(OPERATOR, "GET", "/pxe/snapshots", &[("host", "localhost")], "").await;
    assert_eq!((reply.status, reply.text.contains("--state-dir")), (501, true));
}

#[tokio::test]
async fn one_is_received_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    let headers = [("host", "192.168.26.1"), ("content-length", "4")];
    let waiting = std::time::Duration::from_millis(200);
    let never = Body::new(Never { may_be_asked_for: true });
    let first = uri(NAME, "etcd");
    let first = tokio::time::timeout(waiting, site.ask(LENOVO1, "PUT", &first, &headers, never));
    let (first, second) = tokio::join!(first, async {
        tokio::time::sleep(waiting / 2).await;
        put(&site, LENOVO1, &uri("etcd-snapshot-2", "etcd"), "etcd").await
    });
    assert!(first.is_err(), "it waits for its body");
    assert_eq!((second.status, &second.headers["retry-after"]), (503, &"5".parse().unwrap()));
    // Who left let go.
    let begin = std::time::Instant::now();
    while put(&site, LENOVO1, &uri("etcd-snapshot-2", "etcd"), "etcd").await.status != 204 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(10));
    }
}

/// lenovo1 is the bootstrap host.
fn reports(site: &Site, host: &str, event: Event) {
    site.state.chronicle.note(&host.parse().unwrap(), event);
}

#[tokio::test]
async fn the_host_that_is_restored_gets_the_newest_until_it_has_joined_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    put(&site, LENOVO1, &uri(NAME, "etcd"), "etcd").await;
    let file = uri(NAME, "etcd");
    let statuses = async |peer| {
        let headers = [("host", "192.168.26.1")];
        let newest = site.ask(peer, "GET", "/pxe/snapshots/newest", &headers, "").await;
        (newest.status, site.ask(peer, "GET", &file, &headers, "").await.status)
    };
    let config = || "lenovo1-restore".to_owned();
    assert_eq!(statuses(OPERATOR).await, (200, 200));
    assert_eq!(statuses(LENOVO1).await, (403, 403), "it is not installed to be restored");
    reports(&site, "lenovo1", Event::Installed { config: config(), ignition: None });
    for (peer, status) in [(LENOVO1, 200), (LENOVO2, 403), (STRANGER, 403)] {
        assert_eq!(statuses(peer).await, (status, status), "{peer:?}");
    }
    let newest = site.get(LENOVO1, "/pxe/snapshots/newest").await;
    assert_eq!(newest.text, format!("{}  lenovo1/{NAME}\n", Sha256::of(b"etcd")));
    let given = site.get(LENOVO1, &file).await;
    assert_eq!(
        (given.text.as_str(), &given.headers["cache-control"]),
        ("etcd", &"no-store".parse().unwrap())
    );
    assert_eq!(site.get(LENOVO1, &uri(NAME, "other")).await.status, 404, "that is not kept");
    assert_eq!(site.get(LENOVO1, &uri("etcd-snapshot-2", "etcd")).await.status, 404);
    assert_eq!(site.get(LENOVO1, "/pxe/snapshots").await.status, 403, "the list stays the operator's");
    reports(&site, "lenovo1", Event::Joined { config: config(), ca_sha256: None });
    assert_eq!(statuses(LENOVO1).await, (403, 403));
}

#[tokio::test]
async fn one_that_the_disk_has_damaged_is_not_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with_snapshots(folder.path());
    let newest =
        async || site.ask(OPERATOR, "GET", "/pxe/snapshots/newest", &[("host", "localhost")], "").await;
    assert_eq!(newest().await.status, 404);
    for taken in 1..=2 {
        put(&site, LENOVO1, &uri(&format!("etcd-snapshot-{taken}"), "etcd"), "etcd").await;
    }
    assert!(newest().await.text.ends_with("lenovo1/etcd-snapshot-2\n"));
    let damage = |taken: u32| {
        let name = format!("snapshots/lenovo1/etcd-snapshot-{taken}.{}", Sha256::of(b"etcd"));
        std::fs::write(folder.path().join(name), "etc!").unwrap();
    };
    damage(2);
    assert!(newest().await.text.ends_with("lenovo1/etcd-snapshot-1\n"));
    damage(1);
    assert_eq!(newest().await.status, 404);
}
