//! Requests from any address, straight to the routes, over a site that boots.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use tower::ServiceExt as _;

use crate::boot::Roster;
use crate::inventory;
use crate::server::archive::Archive;
use crate::server::journal::Chronicle;
use crate::server::peer::Peer;
use crate::server::routes::routes;
use crate::server::snapshots::Snapshots;
use crate::server::state::{Failure, Served, ServerState, Status};
use crate::server::state_dir::StateDir;
use crate::server::{AskReadiness, KEEP_GENERATIONS_FOR, SecretsPolicy};

use super::site::{IGNITION, SCRIPT, public, with};

pub const LENOVO1: Peer = at([192, 168, 26, 5]);
pub const LENOVO2: Peer = at([192, 168, 26, 6]);
pub const STRANGER: Peer = at([192, 168, 26, 99]);
pub const OPERATOR: Peer = Peer::Operator;
pub const LOOPBACK: Peer = Peer::ThisMachine(IpAddr::V4(Ipv4Addr::LOCALHOST));

pub const fn at([a, b, c, d]: [u8; 4]) -> Peer {
    Peer::Network(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
}

const SCRIPTS: [&str; 9] = [
    "pxe/boot.ipxe",
    "pxe/ipxe/lenovo1-bootstrap/install.ipxe",
    "pxe/ipxe/lenovo1-reinstall/install.ipxe",
    "pxe/ipxe/lenovo1/live.ipxe",
    "pxe/ipxe/lenovo1/local.ipxe",
    "pxe/ipxe/lenovo2/install.ipxe",
    "pxe/ipxe/lenovo2/local.ipxe",
    "pxe/ipxe/tools.ipxe",
    "pxe/ipxe/unknown.ipxe",
];

pub struct Site {
    pub state: Arc<ServerState>,
    routes: Router,
}

pub struct Reply {
    pub status: u16,
    pub headers: axum::http::HeaderMap,
    pub text: String,
}

fn failure() -> Failure {
    Failure {
        reason: "inventory.yaml:31: hosts.lenovo3.mac: no MAC (and 1 more, see /healthz)".into(),
        brief: "inventory.yaml:31:5: hosts.lenovo3.mac: no MAC\nk3s: ${x}".into(),
        report: String::new(),
    }
}

impl Site {
    /// Each script says which it is.
    pub fn new() -> Site {
        Site::with_secrets(SecretsPolicy::default())
    }

    pub fn with_secrets(secrets: SecretsPolicy) -> Site {
        let site = Site::over(secrets);
        let mut artifacts: Vec<_> =
            SCRIPTS.iter().map(|path| (*path, public(path, &format!("#!ipxe\n# {path}\n")))).collect();
        artifacts.push((IGNITION, public(IGNITION, "{}")));
        artifacts.push((SCRIPT, public(SCRIPT, "#!/bin/sh\n")));
        let served = Served::new(with(artifacts), SystemTime::UNIX_EPOCH);
        site.state.set_status(Status { served: Some(Arc::new(served)), failure: None });
        site
    }

    /// Loading failed, and did so from the start.
    pub fn with_nothing() -> Site {
        Site::over(SecretsPolicy::default())
    }

    /// The last edit cannot be served, and what was before is.
    pub fn breaks(&self) {
        let served = self.state.status().served.clone();
        self.state.set_status(Status { served, failure: Some(Arc::new(failure())) });
    }

    /// What is served asks for snapshots, two of each server.
    pub fn with_snapshots(folder: &Path) -> Site {
        let dir = StateDir::open(folder).unwrap();
        let snapshots = Snapshots::open(Some(dir.into())).unwrap();
        let chronicle = Chronicle::open(None).unwrap();
        chronicle.history().doubt = None;
        let archive = Archive::open(KEEP_GENERATIONS_FOR, 0..=1 << 20, None).unwrap();
        let state = ServerState::new(SecretsPolicy::default(), archive, chronicle).keeping(snapshots);
        let site = Site::over_state(state);
        let mut generation = with(Vec::new());
        generation.inventory.k3s.snapshots = Some(inventory::Snapshots { keep: 2, every_hours: 12 });
        let served = Served::new(generation, SystemTime::UNIX_EPOCH);
        site.state.set_status(Status { served: Some(Arc::new(served)), failure: None });
        site
    }

    fn over(secrets: SecretsPolicy) -> Site {
        let chronicle = Chronicle::open(None).unwrap();
        // As with a state directory.
        chronicle.history().doubt = None;
        Site::of(secrets, chronicle, AskReadiness::default())
    }

    /// Whether the cluster's servers are ready; with a journal on the disk, or one that is as good.
    pub fn that_asks(readiness: AskReadiness, state_dir: Option<&Path>) -> Site {
        let dir = state_dir.map(|path| Arc::new(StateDir::open(path).unwrap()));
        let chronicle = Chronicle::open(dir).unwrap();
        chronicle.history().doubt = None;
        Site::of(SecretsPolicy::default(), chronicle, readiness)
    }

    fn of(secrets: SecretsPolicy, chronicle: Chronicle, readiness: AskReadiness) -> Site {
        let archive = Archive::open(KEEP_GENERATIONS_FOR, 0..=1 << 20, None).unwrap();
        Site::over_state(ServerState::new(secrets, archive, chronicle).asking(readiness))
    }

    fn over_state(state: ServerState) -> Site {
        let state = Arc::new(state);
        state.set_status(Status { served: None, failure: Some(Arc::new(failure())) });
        Site { routes: routes(state.clone()), state }
    }

    pub async fn ask(
        &self,
        peer: Peer,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(uri).extension(peer);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.routes.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Reply { status: head.status.as_u16(), headers: head.headers, text }
    }

    pub async fn get(&self, peer: Peer, uri: &str) -> Reply {
        self.ask(peer, "GET", uri, &[("user-agent", "curl/8")], "").await
    }

    /// As iPXE asks.
    pub async fn boot(&self, peer: Peer, uri: &str) -> Reply {
        self.ask(peer, "GET", uri, &[("user-agent", "iPXE/1.21.1+ (g1234)")], "").await
    }

    pub async fn post(&self, peer: Peer, uri: &str, body: &str) -> Reply {
        self.ask(peer, "POST", uri, &[("host", "192.168.26.1")], body.to_owned()).await
    }

    pub async fn arms(&self, host: &str) {
        assert_eq!(self.post(OPERATOR, &format!("/pxe/hosts/{host}/arm"), "").await.status, 204);
    }

    pub async fn roster(&self) -> Roster {
        let reply = self.ask(OPERATOR, "GET", "/pxe/hosts", &[("host", "localhost:8080")], "").await;
        serde_json::from_str(&reply.text).expect(&reply.text)
    }

    /// What is known to have happened to a host, oldest first.
    pub async fn events(&self, host: &str) -> Vec<String> {
        let roster = self.roster().await;
        let host = roster.hosts.into_iter().find(|known| known.name.as_str() == host).unwrap();
        host.history.events.iter().map(|dated| dated.event.to_string()).collect()
    }
}

impl Reply {
    /// The path of the artifact that it is.
    pub fn script(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(self.headers["cache-control"], "no-store");
        self.text.strip_prefix("#!ipxe\n# ").and_then(|rest| rest.strip_suffix("\n")).unwrap_or(&self.text)
    }
}
