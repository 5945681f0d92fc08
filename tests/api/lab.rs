//! A cluster of three servers and a VIP on a loopback network of its own, with the inventory and the k3s.yaml that go with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{A_YEAR, Api, Ca, Days, Does, Issued, free_network};

pub const LENOVOS: [u8; 3] = [5, 6, 7];
pub const VIP: u8 = 253;

pub struct Lab {
    pub folder: tempfile::TempDir,
    /// `127.x.y.`
    pub network: String,
    pub ca: Ca,
    pub client: Issued,
    /// k3s' servers share one certificate, by the secret kube-system/k3s-serving.
    shared: Issued,
    pub apis: BTreeMap<u8, Api>,
}

impl Lab {
    /// Nobody answers yet. There are no names, since a test has no DNS.
    pub fn new() -> Lab {
        let ca = Ca::new();
        let (client, folder, network) = (ca.issue(&[], A_YEAR), tempfile::tempdir().unwrap(), free_network());
        let shared = ca.issue(&sans(&network), A_YEAR);
        let lab = Lab { folder, network, ca, client, shared, apis: BTreeMap::new() };
        lab.edit(|text| text);
        std::fs::write(lab.path("k3s.yaml"), lab.ca.k3s_yaml(&lab.client)).unwrap();
        lab
    }

    /// The shipped inventory, moved to this network, after an edit.
    pub fn edit(&self, edit: impl Fn(String) -> String) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory.yaml");
        let text = std::fs::read_to_string(shipped).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("  domain:") && !line.contains("_name:"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let text = text.replace("192.168.26.", &self.network);
        std::fs::write(self.path("inventory.yaml"), edit(text)).unwrap();
    }

    /// All four answer.
    pub fn whole() -> Lab {
        let mut lab = Lab::new();
        for host in LENOVOS.into_iter().chain([VIP]) {
            lab.start(host, Does::Answers);
        }
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn address(&self, host: u8) -> String {
        format!("{}{host}", self.network)
    }

    pub fn url(&self, host: u8) -> String {
        format!("https://{}:6443", self.address(host))
    }

    pub fn sans(&self) -> Vec<String> {
        sans(&self.network)
    }

    pub fn start(&mut self, host: u8, does: Does) {
        self.apis.remove(&host);
        self.apis.insert(host, Api::start(self.address(host), &self.ca, &self.shared, does));
    }

    /// With a certificate of its own.
    pub fn start_with(&mut self, host: u8, sans: &[String], days: Days, does: Does) {
        self.apis.remove(&host);
        let shows = self.ca.issue(sans, days);
        self.apis.insert(host, Api::start(self.address(host), &self.ca, &shows, does));
    }

    pub fn stop(&mut self, host: u8) {
        self.apis.remove(&host);
    }
}

/// What the inventory demands, and what k3s adds.
fn sans(network: &str) -> Vec<String> {
    let own = ["kubernetes", "kubernetes.default.svc.cluster.local", "localhost", "10.43.0.1"];
    let mut sans: Vec<String> = own.map(str::to_owned).into();
    for (index, host) in LENOVOS.into_iter().enumerate() {
        sans.extend([format!("lenovo{}", index + 1), format!("{network}{host}")]);
    }
    sans.push(format!("{network}{VIP}"));
    sans
}
