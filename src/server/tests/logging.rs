//! What is said: the log and the start message.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::Request;
use tower::ServiceExt as _;

use crate::server::archive::Archive;
use crate::server::journal::Chronicle;
use crate::server::log::{LogFormat, lines};
use crate::server::peer::Peer;
use crate::server::reload::{Reloader, Trigger};
use crate::server::routes::routes;
use crate::server::state::{Served, ServerState, Status};
use crate::server::welcome::welcome;
use crate::server::{KEEP_GENERATIONS_FOR, SecretsPolicy};

use super::site::{CONF, broken, generation, good};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn state() -> Arc<ServerState> {
    let archive = Archive::open(KEEP_GENERATIONS_FOR, 0..=1 << 20, None).unwrap();
    Arc::new(ServerState::new(SecretsPolicy::default(), archive, Chronicle::open(None).unwrap()))
}

fn serving() -> Status {
    Status { served: Some(Arc::new(Served::new(generation("a"), SystemTime::UNIX_EPOCH))), failure: None }
}

#[tokio::test]
async fn a_requests_line_names_host_artifact_digest_and_client_and_no_secret() {
    let log = Lines::default();
    let writer = log.clone();
    let _guard = tracing::subscriber::set_default(lines(LogFormat::Json, false, move || writer.clone()));
    let state = state();
    state.set_status(serving());
    for peer in [[192, 168, 26, 5], [192, 168, 26, 77]] {
        let peer = Peer::at(peer.into(), [192, 168, 26, 1].into());
        let request = Request::builder().uri(format!("/{CONF}")).extension(peer).body(Body::empty()).unwrap();
        routes(state.clone()).oneshot(request).await.unwrap();
    }
    let lines: Vec<serde_json::Value> =
        log.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let digest = generation("a").catalogue.get(CONF).unwrap().digest().sha256.to_string();
    assert_eq!(lines[0]["host"], "lenovo1");
    assert_eq!(lines[0]["artifact"], CONF);
    assert_eq!(lines[0]["digest"], digest[..12]);
    assert_eq!(lines[0]["client"], "192.168.26.5");
    assert_eq!((&lines[0]["status"], &lines[0]["level"]), (&200.into(), &"INFO".into()));
    assert!(lines[0]["took_us"].is_u64());
    assert_eq!((&lines[1]["status"], &lines[1]["level"]), (&403.into(), &"WARN".into()));
    assert_eq!(lines[1]["client"], "192.168.26.77");
    assert!(!log.text().contains("k3s-keep"));
}

#[test]
fn a_load_is_one_line_and_a_broken_one_tells_all() {
    let log = Lines::default();
    let writer = log.clone();
    let _guard = tracing::subscriber::set_default(lines(LogFormat::Text, false, move || writer.clone()));
    let loads = std::sync::atomic::AtomicUsize::new(0);
    let load = move || match loads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0..3 => good(generation("a")),
        _ => broken("it is no MAC"),
    };
    let reloader = Reloader::new(Arc::new(load), state());
    for trigger in [Trigger::Start, Trigger::Change, Trigger::Asked, Trigger::Change, Trigger::Change] {
        reloader.reload_blocking(trigger);
    }
    let text = log.text();
    assert_eq!(text.matches("serving a new generation").count(), 1, "{text}");
    assert_eq!(text.matches("nothing has changed").count(), 1, "{text}");
    assert_eq!(text.matches("the edit is not served: hosts.lenovo3.mac: it is no MAC").count(), 1, "{text}");
    assert!(text.contains("artifacts=4") && text.contains("findings=0"), "{text}");
}

#[test]
fn a_promise_that_is_broken_for_want_of_room_is_said_once_and_one_that_is_over_is_not() {
    for (term, warnings) in [(KEEP_GENERATIONS_FOR, 1), (Duration::ZERO, 0)] {
        let log = Lines::default();
        let writer = log.clone();
        let text = lines(LogFormat::Text, false, move || writer.clone());
        let _guard = tracing::subscriber::set_default(text);
        let archive = Archive::open(term, 1..=1, None).unwrap();
        archive.turn(Some(&generation("a")), &generation("b"));
        archive.purge();
        let text = log.text();
        assert_eq!(text.matches("a boot that began before the edits").count(), warnings, "{text}");
        assert!(warnings == 0 || text.contains("files=3"), "{text}");
    }
}

#[test]
fn the_start_message_names_urls_that_work_and_how_to_reach_the_network() {
    let loopback: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let any: SocketAddr = "0.0.0.0:80".parse().unwrap();
    let text = welcome(&[loopback], SecretsPolicy::Loopback, &serving());
    assert!(text.contains("  curl http://127.0.0.1:8080/pxe/configs/keepalived-lenovo1.conf\n"), "{text}");
    assert!(text.contains("--listen 0.0.0.0:80 --state-dir state\n"), "the port of base_url: {text}");
    let text = welcome(&[loopback], SecretsPolicy::OwnHost, &serving());
    assert!(text.contains("  curl http://127.0.0.1:8080/pxe/"), "{text}");
    assert!(!text.contains("keepalived-lenovo1.conf"), "that is a secret: {text}");
    let text = welcome(&[any], SecretsPolicy::Lan, &serving());
    assert!(text.contains("http://127.0.0.1:80/pxe/"), "{text}");
    assert!(!text.contains("--listen"), "{text}");
}

#[test]
fn the_start_message_of_a_broken_site_says_that_it_waits() {
    let failure = crate::server::state::Failure {
        reason: "no MAC".to_owned(),
        brief: String::new(),
        report: String::new(),
    };
    let status = Status { served: None, failure: Some(Arc::new(failure)) };
    let text = welcome(&["127.0.0.1:8080".parse().unwrap()], SecretsPolicy::OwnHost, &status);
    assert!(text.contains("nothing to serve: no MAC") && text.contains("503"), "{text}");
}

#[tokio::test]
async fn sighup_asks_for_a_load_and_sigterm_ends() {
    use rustix::process::{Signal, getpid, kill_process};
    let signals = crate::server::signals::Signals::catch().unwrap();
    let asked = Arc::new(tokio::sync::Notify::new());
    let stopping = tokio::spawn(signals.until_stop(asked.clone()));
    kill_process(getpid(), Signal::HUP).unwrap();
    asked.notified().await;
    assert!(!stopping.is_finished());
    kill_process(getpid(), Signal::TERM).unwrap();
    stopping.await.unwrap();
}
