//! The program serving a site on a port of its own, and a client as plain as those that boot.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pxe_serve::load::Sources;

/// A guard against hanging, far above what is measured.
const PATIENCE: Duration = Duration::from_secs(180);

/// `pxe-serve serve`, killed when dropped.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    log: Option<thread::JoinHandle<String>>,
}

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The options that name these sources.
pub fn options(sources: &Sources) -> Vec<String> {
    let mut options = vec!["--inventory".to_owned(), sources.inventory.display().to_string()];
    for (option, folder) in [("--templates", &sources.templates), ("--static", &sources.static_dir)] {
        options.extend(folder.iter().flat_map(|folder| [option.to_owned(), folder.display().to_string()]));
    }
    options
}

/// What a verb of the operator's prints that asks the server of this state folder.
pub fn operator(state_dir: &Path, arguments: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pxe-serve"));
    let output = program.args(arguments).arg("--state-dir").arg(state_dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

impl Served {
    pub fn start(sources: &Sources, more: &[&str]) -> Served {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pxe-serve"))
            .arg("serve")
            .args(options(sources))
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (found, address) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = thread::spawn(move || {
            let mut log = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("127.0.0.1:") {
                    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    let _ = found.send(port.parse::<u16>());
                }
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        let Ok(Ok(port)) = address.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("it does not listen: {}", log.join().unwrap());
        };
        Served { child, address: SocketAddr::from(([127, 0, 0, 1], port)), log: Some(log) }
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask(target, "*/*")
    }

    pub fn ask(&self, target: &str, accept: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let split = |line: &str| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned()));
        Answer { status, headers: lines.filter_map(split).collect(), body: bytes[end + 4..].to_vec() }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it, and gives all that it logged.
    pub fn stop(mut self) -> String {
        self.kill();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
