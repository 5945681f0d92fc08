//! A node that boots, as far as the server sees it: the requests of firmware, installer and first boot, from its address.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pxe_serve::catalogue::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// A guard against hanging, far above what is measured.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Node {
    pub name: String,
    pub address: IpAddr,
    pub mac: String,
}

/// One request: method, path with query, and a body for POST.
pub struct Request {
    pub method: &'static str,
    pub target: String,
    pub body: String,
}

pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Node {
    /// A whole install and the boot after it, each request by `ask`; gives how many there were. Panics where a real node
    /// would be stuck.
    pub async fn installs(&self, mut ask: impl AsyncFnMut(Request) -> Reply) -> usize {
        let mut requests = 0;
        let mut get = async |target: String| {
            requests += 1;
            let reply = ask(Request { method: "GET", target: target.clone(), body: String::new() }).await;
            assert_eq!(reply.status, 200, "{}: {target}: {}", self.name, reply.text());
            if let Some((_, digest)) = target.split_once("?sha256=") {
                assert_eq!(Sha256::of(&reply.body).to_string(), digest, "{}: {target}", self.name);
            }
            reply
        };
        assert!(get("/pxe/boot.ipxe".into()).await.text().contains("/pxe/ipxe/"));
        let query = format!("mac={}&uuid=&serial=&hostname=&buildarch=x86_64&platform=efi", self.mac);
        let own = format!("/pxe/ipxe/{}.ipxe?{query}", self.mac);
        let script = get(own.clone()).await.text();
        let config = script.split("installing ").nth(1).and_then(|rest| rest.split(' ').next());
        let config = config.unwrap_or_else(|| panic!("{} does not install: {script}", self.name)).to_owned();
        for url in urls(&script).filter(|url| !url.starts_with("/pxe/fcos/")) {
            get(url).await;
        }
        let ignition = get(format!("/pxe/ignition/{config}.ign")).await.text();
        for url in urls(&ignition).filter(|url| url.contains("?sha256=")) {
            get(url).await;
        }
        for event in ["installed", "booted"] {
            let body = format!(r#"{{"event":"{event}","config":"{config}"}}"#);
            let target = format!("/pxe/events/{}", self.name);
            let reply = ask(Request { method: "POST", target, body }).await;
            assert_eq!(reply.status, 204, "{}: {event}: {}", self.name, reply.text());
        }
        let again = ask(Request { method: "GET", target: own, body: String::new() }).await.text();
        assert!(again.contains("starts from its disk"), "{}: {again}", self.name);
        requests + 3
    }

    pub async fn send(&self, server: SocketAddr, request: &Request) -> Reply {
        self.try_send(server, request).await.unwrap()
    }

    /// As a client that closes after each answer does.
    pub async fn try_send(&self, server: SocketAddr, request: &Request) -> std::io::Result<Reply> {
        tokio::time::timeout(PATIENCE, self.exchange(server, request)).await.expect("an answer in time")
    }

    async fn exchange(&self, server: SocketAddr, request: &Request) -> std::io::Result<Reply> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.address, 0))?;
        let mut stream = socket.connect(server).await?;
        let Request { method, target, body } = request;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: iPXE/1.21.1\r\n");
        let text = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = std::str::from_utf8(&bytes[9..12]).unwrap().parse().unwrap();
        Ok(Reply { status, body: bytes[end + 4..].to_vec() })
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The paths of all complete URLs in a text, whatever server they name; with their query.
fn urls(text: &str) -> impl Iterator<Item = String> {
    let after = text.split("http://").skip(1).filter_map(|rest| rest.split_once("/pxe/"));
    after.filter(|(host, _)| !host.contains([' ', '"', '\n'])).filter_map(|(_, rest)| {
        let end = rest.find([' ', '"', '\n']).unwrap_or(rest.len());
        Some(format!("/pxe/{}", &rest[..end])).filter(|url| !url.contains('$'))
    })
}
