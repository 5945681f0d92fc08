//! A cluster's API servers for tests: certificates of a CA made on the spot, and servers that behave or misbehave.
//!
//! Shared by both test binaries. Each server has a loopback address of its own, so that tests run side by side although
//! every API listens on port 6443.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod lab;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A part of 127.0.0.0/8 that nobody else has at the moment: its first three numbers, with a dot behind.
pub fn free_network() -> String {
    loop {
        let random = RandomState::new().hash_one(0).to_le_bytes();
        let network = format!("127.{}.{}.", random[0].max(1), random[1]);
        let free = |host: u8| TcpListener::bind(format!("{network}{host}:6443")).is_ok();
        if [5, 6, 7, 253].into_iter().all(free) {
            return network;
        }
    }
}

/// One CA for servers and clients.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

pub struct Issued {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub pem: String,
    pub key_pem: String,
}

/// From when until when, in days from now.
pub type Days = std::ops::Range<i64>;
pub const A_YEAR: Days = -1..365;

impl Ca {
    pub fn new() -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "k3s-server-ca");
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// `sans` are names and addresses; a client has none.
    pub fn issue(&self, sans: &[String], days: Days) -> Issued {
        let mut params = CertificateParams::new(sans).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "k3s");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let day =
            |days: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs((now + days * 86_400 + 60) as u64);
        (params.not_before, params.not_after) = (day(days.start), day(days.end));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &*self.0).unwrap();
        Issued {
            pem: certificate.pem(),
            chain: vec![certificate.der().clone(), self.der()],
            key_pem: key.serialize_pem(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// As k3s writes it on a server.
    pub fn k3s_yaml(&self, client: &Issued) -> String {
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        format!(
            "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://127.0.0.1:6443\n  name: default\n\
             contexts:\n- context:\n    cluster: default\n    user: default\n  name: default\ncurrent-context: default\nkind: Config\n\
             preferences: {{}}\nusers:\n- name: default\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
            base64(&self.pem()),
            base64(&client.pem),
            base64(&client.key_pem)
        )
    }
}

/// What a server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Answers as k3s: `/readyz` for everybody, the rest for who has a client certificate.
    Answers,
    /// As k3s that leaves nothing open: 401 without a client certificate.
    AnswersClients,
    /// Takes every request and answers with this status.
    Status(u16),
    /// Answers, and its clock is off by so many seconds.
    ClockOff(i64),
    /// Accepts, and says nothing: no TLS.
    Accepts,
    /// Shakes hands and never answers.
    Hangs,
    /// Ends TLS with an alert (handshake_failure).
    Alerts,
    /// Refuses clients without a certificate of its CA with an alert.
    RequiresCertificate,
    /// Speaks plain HTTP.
    Plain,
}

/// What was seen of a request: never more than a test may know.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub with_certificate: bool,
}

pub struct Api {
    pub address: SocketAddr,
    does: Arc<Mutex<Does>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    // Ends its tasks when it is dropped.
    runtime: Option<Runtime>,
}

impl Api {
    /// Listens on `address`, port 6443 unless it names another.
    pub fn start(address: impl ToString, ca: &Ca, shows: &Issued, does: Does) -> Api {
        let address = address.to_string();
        let address: SocketAddr = match address.parse() {
            Ok(address) => address,
            Err(_) => SocketAddr::new(address.parse::<IpAddr>().unwrap(), 6443),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let _inside = runtime.enter();
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.set_reuseaddr(true).unwrap();
        // Whoever had the address before may take a moment to be gone from it, on a busy machine.
        let begin = std::time::Instant::now();
        while let Err(error) = socket.bind(address) {
            assert!(begin.elapsed() < Duration::from_secs(10), "{address}: {error}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let (open, strict) = (acceptor(ca, shows, false), acceptor(ca, shows, true));
        let (does, seen) = (Arc::new(Mutex::new(does)), Arc::new(Mutex::new(Vec::new())));
        let (now, log) = (does.clone(), seen.clone());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let does = now.lock().unwrap().clone();
                let acceptor = if does == Does::RequiresCertificate { &strict } else { &open };
                tokio::spawn(serve(stream, acceptor.clone(), does, log.clone()));
            }
        });
        drop(_inside);
        Api { address, does, seen, runtime: Some(runtime) }
    }

    pub fn now(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

fn acceptor(ca: &Ca, shows: &Issued, strict: bool) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = if strict { verifier } else { verifier.allow_unauthenticated() };
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
    let config = builder.with_single_cert(shows.chain.clone(), shows.key.clone_key()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(mut stream: TcpStream, acceptor: TlsAcceptor, does: Does, seen: Arc<Mutex<Vec<Seen>>>) {
    match does {
        Does::Accepts => return std::future::pending().await,
        Does::Plain => return drop(stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await),
        Does::Alerts => {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
            let _ = stream.read(&mut [0; 4096]).await;
            return;
        }
        _ => {}
    }
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let with_certificate = stream.get_ref().1.peer_certificates().is_some();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(Seen { head, with_certificate });
    let (status, body) = match does {
        Does::Hangs => return std::future::pending().await,
        Does::Status(status) => (status, "[-]etcd failed\n"),
        _ if with_certificate => content(&path),
        Does::AnswersClients => (401, "{}"),
        _ if ["/readyz", "/livez"].contains(&path.as_str()) => (200, "ok"),
        _ => (401, "{}"),
    };
    let off = if let Does::ClockOff(seconds) = does { seconds } else { 0 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let date = UNIX_EPOCH + Duration::from_secs(now.saturating_add_signed(off));
    let answer = format!(
        "HTTP/1.1 {status} x\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        httpdate::fmt_http_date(date),
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// As much of Kubernetes as `kubectl get nodes` asks for.
fn content(path: &str) -> (u16, &'static str) {
    match path {
        "/readyz" | "/livez" | "/healthz" => (200, "ok"),
        "/version" => {
            (200, r#"{"major":"1","minor":"37","gitVersion":"v1.37.0+k3s1","platform":"linux/amd64"}"#)
        }
        "/api" => (200, r#"{"kind":"APIVersions","versions":["v1"]}"#),
        "/apis" => (200, r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#),
        "/api/v1" => (
            200,
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["get","list"],"shortNames":["no"]}]}"#,
        ),
        "/api/v1/nodes" => (
            200,
            r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"lenovo1","labels":{},"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1.37.0+k3s1"}}},{"metadata":{"name":"lenovo2","labels":{},"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"kubeletVersion":"v1.37.0+k3s1"}}}]}"#,
        ),
        _ => {
            (404, r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#)
        }
    }
}

/// An address where connections are neither accepted nor refused: the queue of a listener that never accepts is full.
pub struct BlackHole {
    pub address: SocketAddr,
    _runtime: Runtime,
    _held: (tokio::net::TcpListener, Vec<TcpStream>),
}

impl BlackHole {
    pub fn start(address: impl ToString) -> BlackHole {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let address: SocketAddr = match address.to_string().parse() {
            Ok(address) => address,
            Err(_) => SocketAddr::new(address.to_string().parse().unwrap(), 6443),
        };
        let held = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            let listener = socket.listen(1).unwrap();
            let (address, mut connections) = (listener.local_addr().unwrap(), Vec::new());
            // Full when the next one hangs.
            let patience = Duration::from_millis(300);
            while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
                connections.push(stream.unwrap());
                assert!(connections.len() < 100, "the queue never fills");
            }
            (listener, connections)
        });
        BlackHole { address: held.0.local_addr().unwrap(), _runtime: runtime, _held: held }
    }
}
