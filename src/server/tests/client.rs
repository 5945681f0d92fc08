//! A server on a real socket, and a client that writes bytes and reads bytes: what is on the wire is the test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::generation::Loaded;
use crate::server::reload::Reloader;
use crate::server::state::ServerState;
use crate::server::watch::Notifier;
use crate::server::{Config, SecretsPolicy, Server};

pub struct Running {
    pub address: SocketAddr,
    pub state: Arc<ServerState>,
    pub reloader: Reloader,
    pub asked: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
}

/// The client below is on loopback, and reads secrets, too.
pub fn config() -> Config {
    let listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    Config { listen, secrets: SecretsPolicy::Loopback, ..Config::default() }
}

pub async fn start(config: Config, load: impl Fn() -> Loaded + Send + Sync + 'static) -> Running {
    let notifier = Notifier::new();
    assert!(notifier.is_some(), "these tests need inotify");
    start_with(config, notifier, load).await
}

/// Where there is no inotify.
pub async fn start_polling(config: Config, load: impl Fn() -> Loaded + Send + Sync + 'static) -> Running {
    start_with(config, None, load).await
}

async fn start_with(
    config: Config,
    notifier: Option<Notifier>,
    load: impl Fn() -> Loaded + Send + Sync + 'static,
) -> Running {
    let server = Server::start(&config, load).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let address = server.addresses()[0];
    let (state, reloader, asked) = (server.state.clone(), server.reloader.clone(), server.asked.clone());
    let stopped = async move {
        let _ = stopped.await;
    };
    let task = tokio::spawn(server.serve_watching(notifier, stopped));
    Running { address, state, reloader, asked, stop: Some(stop), task }
}

impl Running {
    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Stops it, and waits until nobody holds its state directory: a connection's task may end a moment after the server.
    pub async fn end(mut self) {
        self.stop();
        let Running { state, reloader, asked, task, .. } = self;
        task.await.unwrap();
        let state = std::sync::Arc::downgrade(&{ state });
        drop((reloader, asked));
        let begin = std::time::Instant::now();
        while state.strong_count() > 0 {
            assert!(
                begin.elapsed() < std::time::Duration::from_secs(10),
                "somebody still holds the server's state"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text` and reads until the server closes.
    pub async fn raw(&self, text: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Reply::parse(&bytes)
    }

    /// Sends `bytes`; the server may answer anything below 500 or nothing, and closes.
    pub async fn closed_after(&self, bytes: &[u8]) {
        let mut stream = self.connect().await;
        // It may close before everything is sent.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
        let _ = reading.await.expect("it stays open");
        assert!(answer.is_empty() || Reply::parse(&answer).status < 500);
    }

    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.raw(&format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"))
            .await
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, &[]).await
    }
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete header");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The header without its first line and the clock.
    pub fn headers(&self) -> Vec<&str> {
        let mut lines: Vec<&str> =
            self.head.lines().skip(1).filter(|line| !line.starts_with("Date:")).collect();
        lines.sort_unstable();
        lines
    }
}
