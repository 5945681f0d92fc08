//! A node: the files that its Ignition config promises, and the programs that its units start.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::api::{Answer, Api};
use crate::namespace::{Namespace, Process};

pub struct Node {
    pub name: String,
    pub namespace: Namespace,
    /// What is below `/` of the node, as far as we are concerned.
    folder: PathBuf,
    api: Api,
    keepalived: Option<Process>,
    health: Option<Process>,
}

impl Node {
    /// A node with its own `/etc/keepalived`, mounted as in the container besides, and its own `/run`.
    pub fn new(name: &str, lab_folder: &Path) -> Node {
        let namespace = Namespace::new();
        let folder = lab_folder.join(name);
        for below in ["etc", "run/k3s-health", "bin", "units"] {
            std::fs::create_dir_all(folder.join(below)).unwrap();
        }
        namespace.sh(&format!(
            "mkdir -p /etc/keepalived /etc/pxe-serve/keepalived
             mount --bind {folder}/etc /etc/keepalived
             mount --bind {folder}/etc /etc/pxe-serve/keepalived
             mount --bind {folder}/run /run
             ip link set lo up",
            folder = folder.display()
        ));
        let api = Api::new(lab_folder, &folder);
        Node { name: name.to_owned(), namespace, folder, api, keepalived: None, health: None }
    }

    /// Puts keepalived's files where and as the Ignition config says.
    pub fn install(&self, bundle: &Path) {
        let config = std::fs::read(bundle.join(format!("pxe/ignition/{}.ign", self.name))).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let mut installed = 0;
        for file in config["storage"]["files"].as_array().unwrap() {
            let path = Path::new(file["path"].as_str().unwrap());
            let name = path.file_name().unwrap();
            let to = match path.parent().unwrap().to_str().unwrap() {
                "/etc/keepalived" => self.folder.join("etc").join(name),
                "/usr/local/bin" => self.folder.join("bin").join(name),
                "/etc/systemd/system" => self.folder.join("units").join(name),
                _ => continue,
            };
            let source = file["contents"]["source"].as_str().unwrap();
            // What stands in the config itself is none of keepalived's.
            if source.starts_with("data:") {
                continue;
            }
            let from = &source[source.find("/pxe/").unwrap() + 1..source.find('?').unwrap()];
            let new = to.with_extension("new");
            std::fs::copy(bundle.join(from), &new).unwrap();
            let mode = u32::try_from(file["mode"].as_u64().unwrap()).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::rename(&new, &to).unwrap();
            installed += 1;
        }
        assert!(installed >= 2, "{config}");
    }

    /// One of the files that [`Node::install`] has put into `/etc/keepalived`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("etc").join(name)
    }

    /// Changes the text of one of them.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let file = self.file(name);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
    }

    pub fn api_answers(&mut self, answer: Answer) {
        self.api.answers(answer, &self.namespace);
    }

    /// What its units start: the check on the host, if there is one, and keepalived after it.
    pub fn start(&mut self) {
        if self.health.is_none() && self.prepare_health_check() {
            let script = self.folder.join("bin/k3s-health.sh");
            let mut script = self.namespace.command(script.to_str().unwrap());
            self.health = Some(Process::start(&mut script, &self.log()));
        }
        self.start_keepalived();
    }

    /// Runs `ExecStartPre=` of k3s-health.service, if there is such a unit; what comes after it finds that done.
    pub fn prepare_health_check(&self) -> bool {
        self.run_of_the_check("ExecStartPre=")
    }

    fn run_of_the_check(&self, key: &str) -> bool {
        let Ok(unit) = std::fs::read_to_string(self.folder.join("units/k3s-health.service")) else {
            return false;
        };
        let here = self.folder.join("bin/k3s-health.sh");
        unit.lines().filter_map(|line| line.strip_prefix(key)).for_each(|line| {
            self.namespace.sh(&line.replace("/usr/local/bin/k3s-health.sh", here.to_str().unwrap()))
        });
        true
    }

    pub fn start_keepalived(&mut self) {
        let mut keepalived = self.namespace.command("keepalived");
        keepalived.args(["--dont-fork", "--log-console", "--log-detail"]);
        keepalived.args(["--use-file", "/etc/pxe-serve/keepalived/keepalived.conf"]);
        keepalived.args(["--pid", "/run/keepalived.pid", "--vrrp_pid", "/run/vrrp.pid"]);
        self.keepalived = Some(Process::start(&mut keepalived, &self.log()));
    }

    pub fn signal_keepalived(&self, signal: Signal) {
        self.keepalived.iter().for_each(|keepalived| keepalived.signal(signal));
    }

    /// Kills the process that speaks VRRP; the one above it is left.
    pub fn kill_vrrp_process(&self) {
        let pid = std::fs::read_to_string(self.folder.join("run/vrrp.pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }

    /// Waits for the end after a signal that asks for it.
    pub fn keepalived_ends(&mut self) {
        if let Some(mut keepalived) = self.keepalived.take() {
            keepalived.end(Duration::from_secs(5));
        }
    }

    /// Ends the check on the host, as systemd would.
    pub fn stop_health_check(&mut self) {
        let mut health = self.health.take().unwrap();
        health.signal(Signal::TERM);
        health.end(Duration::from_secs(5));
        assert!(self.run_of_the_check("ExecStopPost="));
    }

    /// Whether keepalived is ready to take over, or holds the address: the last state it said it enters.
    pub fn is_ready(&self) -> bool {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let last =
            log.lines().rfind(|line| line.contains("Entering ") || line.contains("Stopped Keepalived"));
        last.is_some_and(|line| line.contains("BACKUP STATE") || line.contains("MASTER STATE"))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What its programs have said.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }
}
