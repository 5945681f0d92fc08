//! A router with the real server in a network of its own, and nodes that run the rendered scripts, with real curl.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::namespace::{Namespace, Process};
use crate::site::{LIMIT, Site, pxe_serve};
use crate::tools::{command, have, run, said};

const K3S: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/restore/k3s.sh");

pub struct Lab {
    pub site: Site,
    router: Namespace,
    server: Option<Process>,
}

/// A machine: its place in the network, and its files.
pub struct Node {
    namespace: Namespace,
    name: String,
    root: PathBuf,
    apis: PathBuf,
}

impl Lab {
    /// The shipped inventory with `k3s` lines, served; `None` where a program is missing.
    pub fn new(k3s: &str) -> Option<Lab> {
        if !have(&["curl", "ip", "unshare", "nsenter", "setpriv", "sha256sum", "find", "timeout"], true) {
            return None;
        }
        let site = Site::at_its_address(|text| with(&text, k3s));
        std::fs::create_dir(site.path("apis")).unwrap();
        let router = Namespace::new();
        router.sh("ip link set lo up; ip link add lan type bridge; ip addr add 192.168.26.1/24 dev lan; ip link set lan up");
        let mut lab = Lab { site, router, server: None };
        lab.start();
        Some(lab)
    }

    pub fn start(&mut self) {
        let mut serve = self.router.command(pxe_serve().to_str().unwrap());
        serve.args(["serve", "--listen", "192.168.26.1:80", "--inventory"]);
        serve.arg(self.site.path("inventory.yaml")).arg("--state-dir").arg(self.site.path("state"));
        self.server = Some(Process::start(&mut serve, &self.site.path("server.log")));
        let begin = Instant::now();
        while self.curl(&["http://192.168.26.1/readyz"]) != 200 {
            assert!(begin.elapsed() < LIMIT, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, as a power cut but for the disk's cache.
    pub fn kill(&mut self) {
        self.server = None;
    }

    fn curl(&self, arguments: &[&str]) -> u16 {
        let mut curl = self.router.command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "5", "--output", "/dev/null"]);
        let output = run(curl.args(["--write-out", "%{http_code}"]).args(arguments), LIMIT);
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.site.path("server.log")).unwrap_or_default()
    }

    /// A verb of the operator's, who has the server's files.
    pub fn operator(&self, arguments: &[&str]) -> Output {
        let mut program = command(pxe_serve().to_str().unwrap());
        program.args(arguments).current_dir(&self.site.folder);
        run(&program, LIMIT)
    }

    /// The inventory says this of k3s from now on, and that is what is served.
    pub fn edit(&self, k3s: &str) {
        let before = self.log().matches("serving a new generation").count();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join("inventory.yaml")).unwrap();
        std::fs::write(self.site.path("inventory.yaml"), with(&text, k3s)).unwrap();
        let begin = Instant::now();
        while self.log().matches("serving a new generation").count() == before {
            assert!(begin.elapsed() < LIMIT, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A machine with an empty disk.
    pub fn node(&self, number: u8) -> Node {
        let name = format!("lenovo{number}");
        let namespace = Namespace::new();
        self.router.sh(&format!(
            "ip link del {name} 2>/dev/null || true
             ip link add {name} type veth peer name eth0 netns {}; ip link set {name} master lan up",
            namespace.id()
        ));
        namespace.sh(&format!("ip addr add 192.168.26.{}/24 dev eth0; ip link set eth0 up", 4 + number));
        let root = self.site.path(&name);
        let _ = std::fs::remove_dir_all(&root);
        for folder in [
            "usr/local/bin",
            "etc/rancher/k3s",
            "var/lib/pxe-serve",
            "var/lib/rancher/k3s/server/db/snapshots",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let token = self.site.path("secrets/k3s-token");
        std::fs::copy(token, root.join("etc/rancher/k3s/cluster-token")).unwrap();
        let node = Node { namespace, name, root, apis: self.site.path("apis") };
        node.program("k3s", &std::fs::read_to_string(K3S).unwrap());
        node.program("pxe-serve-report", "#!/bin/sh\necho \"$*\" >>\"$NODE/reports\"\n");
        // The pause between two tries of systemd's.
        node.program("sleep", "#!/bin/sh\n[ \"$1\" = 15 ] || exec /bin/sleep \"$@\"\n");
        node
    }

    /// What is kept of a host, by the names of its files.
    pub fn kept(&self, host: &str) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.site.path("state/snapshots").join(host)) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The shipped inventory's text with these lines in its `k3s`.
pub fn with(text: &str, k3s: &str) -> String {
    let edited = text.replace("  phase: reinstall ", &format!("{k3s}\n  # "));
    assert_ne!(edited, text, "the shipped inventory has another phase than this test expects");
    edited
}

impl Node {
    fn program(&self, name: &str, text: &str) {
        let file = self.root.join("usr/local/bin").join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Fetches a rendered file to where Ignition puts it.
    pub fn fetch(&self, path: &str, place: &str) {
        let mut curl = self.inside("curl");
        let output = run(curl.args(["--fail", "--silent", &format!("http://192.168.26.1/{path}")]), LIMIT);
        assert!(output.status.success(), "{path}: {}", said(&output));
        let mut text = String::from_utf8(output.stdout).unwrap();
        if place.contains("/bin/") {
            for folder in ["/var/lib/", "/usr/local/bin/"] {
                text = text.replace(folder, &format!("{}{folder}", self.root.display()));
            }
        }
        std::fs::write(self.path(place), text).unwrap();
        std::fs::set_permissions(self.path(place), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn inside(&self, program: &str) -> Command {
        let mut inside = self.namespace.command(program);
        let path = format!("{}:{}", self.path("usr/local/bin").display(), std::env::var("PATH").unwrap());
        inside.env("PATH", path).env("NODE", &self.root).env("APIS", &self.apis).env("no_proxy", "*");
        inside
    }

    /// One of its own programs, as a unit runs it.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let mut program = self.inside(self.path("usr/local/bin").join(name).to_str().unwrap());
        program.env("NOTIFY_SOCKET", "/run/systemd/notify");
        run(program.args(arguments), Duration::from_secs(60))
    }

    /// The status of a request, and its body.
    pub fn ask(&self, arguments: &[&str]) -> (u16, String) {
        let mut curl = self.inside("curl");
        curl.args(["--silent", "--max-time", "10", "--write-out", "%{stderr}%{http_code}"]);
        let output = run(curl.args(arguments), LIMIT);
        let status = String::from_utf8_lossy(&output.stderr).trim().parse().unwrap_or(0);
        (status, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn reports(&self, event: &str, config: &str) {
        let body = format!("{{\"event\": \"{event}\", \"config\": \"{config}\"}}");
        let url = format!("http://192.168.26.1/pxe/events/{}", self.name);
        assert_eq!(self.ask(&["--data", &body, &url]).0, 204, "{body}");
    }

    /// As k3s leaves it when it has taken one, two minutes ago.
    pub fn takes_snapshot(&self, name: &str, content: &str) {
        let file = self.path("var/lib/rancher/k3s/server/db/snapshots").join(name);
        std::fs::write(&file, content).unwrap();
        assert!(run(command("touch").args(["-d", "2 minutes ago"]).arg(&file), LIMIT).status.success());
    }

    /// What its etcd holds; `None` if it has none.
    pub fn data(&self) -> Option<String> {
        std::fs::read_to_string(self.path("var/lib/rancher/k3s/server/db/etcd/data")).ok()
    }

    pub fn said_to_k3s(&self) -> String {
        std::fs::read_to_string(self.path("k3s.log")).unwrap_or_default()
    }
}
