//! `pxe-serve serve` on loopback, ended by its pid.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::site::{Site, pxe_serve};
use crate::tools::{command, run};

pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// Starts it where the site's base URL says, and waits until it is ready.
    pub fn start(site: &Site) -> Server {
        Server::start_with(site, &[])
    }

    pub fn start_with(site: &Site, more: &[&str]) -> Server {
        let address = format!("127.0.0.1:{}", site.port);
        let mut child = command(pxe_serve().to_str().unwrap())
            .current_dir(&site.folder)
            // What stands in for the nodes is on loopback.
            .args(["serve", "--listen", &address, "--secrets", "loopback"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The log is read on, so that the pipe never fills.
        let log = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop));
        let server = Server { child, port: site.port };
        let begin = Instant::now();
        while server.get("/readyz").0 != 200 {
            assert!(begin.elapsed() < Duration::from_secs(20), "the server is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Status (0 when there is no answer) and body, by curl.
    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut curl = command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--write-out", "%{stderr}%{http_code}"])
            .arg(self.url(path));
        let output = run(&curl, Duration::from_secs(15));
        (String::from_utf8_lossy(&output.stderr).trim().parse().unwrap_or(0), output.stdout)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
