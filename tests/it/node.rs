//! A node that boots, as far as the server sees it: the requests of firmware, installer and first boot, from its address.
//! That address is one of loopback, and the inventory's: the boot lab shows that others may not.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pxe_serve::catalogue::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// A guard against hanging, far above what is measured.
const PATIENCE: Duration = Duration::from_secs(120);

/// Real nodes try for ever, or for minutes.
const ATTEMPTS: usize = 3;

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

/// What a node took from its script and its installer's config.
struct Install {
    config: String,
    /// Pinned to a digest, as the installer's config has it.
    ignition: String,
}

impl Node {
    /// A whole install and the boot after it, each request by `ask`; gives how many were answered. What is not answered
    /// is tried again as real nodes do. Panics where a real node would be stuck.
    pub async fn installs(&self, ask: impl AsyncFnMut(Request) -> io::Result<Reply>) -> usize {
        let mut client = Client { node: self, ask, answered: 0 };
        let mut install = client.runs_scripts().await;
        for _ in 1..ATTEMPTS {
            // iPXE gives up what it has, and begins at the entry.
            if install.is_err() {
                install = client.runs_scripts().await;
            }
        }
        let Install { config, ignition } = install.unwrap();
        // coreos-installer and Ignition ask for the same URL again.
        let ignition = client.fetches(ignition).await.text();
        for url in urls(&ignition).filter(|url| url.contains("?sha256=")) {
            client.fetches(url).await;
        }
        for event in ["installed", "booted"] {
            // curl with --retry-connrefused.
            let reply = client.repeats(|| self.report(event, &config)).await;
            assert_eq!(reply.status, 204, "{}: {event}: {}", self.name, reply.text());
        }
        let again = client.repeats(|| Request::get(self.script())).await.text();
        assert!(again.contains("starts from its disk"), "{}: {again}", self.name);
        client.answered
    }

    fn script(&self) -> String {
        let query = format!("mac={}&uuid=&serial=&hostname=&buildarch=x86_64&platform=efi", self.mac);
        format!("/pxe/ipxe/{}.ipxe?{query}", self.mac)
    }

    fn report(&self, event: &str, config: &str) -> Request {
        let body = format!(r#"{{"event":"{event}","config":"{config}"}}"#);
        Request { method: "POST", target: format!("/pxe/events/{}", self.name), body }
    }

    pub async fn send(&self, server: SocketAddr, request: &Request) -> Reply {
        self.try_send(server, request).await.unwrap()
    }

    /// As a client that closes after each answer does.
    pub async fn try_send(&self, server: SocketAddr, request: &Request) -> io::Result<Reply> {
        tokio::time::timeout(PATIENCE, self.exchange(server, request)).await.expect("an answer in time")
    }

    async fn exchange(&self, server: SocketAddr, request: &Request) -> io::Result<Reply> {
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
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = std::str::from_utf8(&bytes[9..12]).unwrap().parse().unwrap();
        Ok(Reply { status, body: bytes[end + 4..].to_vec() })
    }
}

/// A node at work.
struct Client<'a, Ask> {
    node: &'a Node,
    ask: Ask,
    answered: usize,
}

impl<Ask: AsyncFnMut(Request) -> io::Result<Reply>> Client<'_, Ask> {
    async fn sends(&mut self, request: Request) -> io::Result<Reply> {
        let reply = (self.ask)(request).await?;
        self.answered += 1;
        Ok(reply)
    }

    async fn gets(&mut self, target: String) -> io::Result<Reply> {
        let reply = self.sends(Request::get(target.clone())).await?;
        self.expects(&target, &reply);
        Ok(reply)
    }

    async fn fetches(&mut self, target: String) -> Reply {
        let reply = self.repeats(|| Request::get(target.clone())).await;
        self.expects(&target, &reply);
        reply
    }

    async fn repeats(&mut self, request: impl Fn() -> Request) -> Reply {
        for _ in 1..ATTEMPTS {
            if let Ok(reply) = self.sends(request()).await {
                return reply;
            }
        }
        self.sends(request()).await.unwrap()
    }

    fn expects(&self, target: &str, reply: &Reply) {
        let name = &self.node.name;
        assert_eq!(reply.status, 200, "{name}: {target}: {}", reply.text());
        if let Some((_, digest)) = target.split_once("?sha256=") {
            assert_eq!(Sha256::of(&reply.body).to_string(), digest, "{name}: {target}");
        }
    }

    /// From the entry to the installer, whose config comes in an initrd.
    async fn runs_scripts(&mut self) -> io::Result<Install> {
        assert!(self.gets("/pxe/boot.ipxe".into()).await?.text().contains("/pxe/ipxe/"));
        let script = self.gets(self.node.script()).await?.text();
        let config = script.split("installing ").nth(1).and_then(|rest| rest.split(' ').next());
        let config = config.unwrap_or_else(|| panic!("{} does not install: {script}", self.node.name));
        let mut ignition = None;
        for url in urls(&script).filter(|url| !url.starts_with("/pxe/fcos/")) {
            let is_initrd = url.starts_with("/pxe/initrd/");
            let reply = self.gets(url).await?;
            if is_initrd {
                ignition = Some(pinned_config(&reply.body));
            }
        }
        let ignition = ignition.unwrap_or_else(|| panic!("{}: no initrd: {script}", self.node.name));
        Ok(Install { config: config.to_owned(), ignition })
    }
}

/// The `ignition-url` of the installer's config, which lies in an initrd as a data URL of an Ignition config.
fn pinned_config(initrd: &[u8]) -> String {
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(initrd).read_to_end(&mut archive).unwrap();
    let archive = percent_encoding::percent_decode(&archive).decode_utf8_lossy();
    let url = archive.split("ignition-url: ").nth(1).and_then(|rest| urls(rest).next());
    url.filter(|url| url.contains("?sha256=")).unwrap_or_else(|| panic!("not pinned: {archive}"))
}

impl Request {
    pub fn get(target: String) -> Request {
        Request { method: "GET", target, body: String::new() }
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
