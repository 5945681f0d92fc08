//! Sites to try things on: those of `tests/cases/sites`, and small ones made for a test.

use std::fs;
use std::path::{Path, PathBuf};

use pxe_serve::catalogue::{Artifact, Catalogue};
use pxe_serve::generation::{Generation, Loaded};
use pxe_serve::load::{Sources, load};
use pxe_serve::report::Severity;

/// Values that stand nowhere but in the files of secrets, so that they are found wherever they get out.
pub const CANARY_TOKEN: &str = "canary-token-7f3a9c51e0d84b26";
pub const CANARY_AGENT_TOKEN: &str = "canary-agent-token-2b88d10f6c";
pub const CANARY_PASSWORD: &str = "kAnArY42";

/// Three servers and a worker with a label.
pub const INVENTORY: &str = "\
vips: {control_planes: 192.168.26.253, workers: 192.168.26.254}
router: {base_url: http://192.168.26.1}
network: {cidr: 192.168.26.0/24}
ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E me]
keepalived: {virtual_router_id: 26, auth_pass: {file: password}}
k3s: {version: v1.32.5+k3s1, token: {file: token}, agent_token: {file: agent-token}}
defaults: {role: control_plane, interface: eth0, install_device: /dev/nvme0n1}
hosts:
  lenovo1: {address: 192.168.26.5, mac: 52:54:00:aa:00:01}
  lenovo2: {address: 192.168.26.6, mac: 52:54:00:aa:00:02}
  lenovo3: {address: 192.168.26.7, mac: 52:54:00:aa:00:03}
  tower1: {address: 192.168.26.8, mac: 52:54:00:aa:00:04, role: worker, labels: {gpu: \"yes\"}}
";

/// The names of the sites whose inventories and templates lie in the repository.
pub const SITES: [&str; 9] =
    ["seed", "tower", "dual", "old-k3s", "gated-k3s", "ipv6", "bootstrap", "one", "restore"];

/// Where a site of the repository is. `seed` is the shipped inventory itself.
pub fn sources(site: &str) -> Sources {
    if site == "seed" {
        return Sources { inventory: "inventory.yaml".into(), templates: None, static_dir: None };
    }
    let folder = Path::new("tests/cases/sites").join(site);
    let existing = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
    Sources {
        inventory: folder.join("inventory.yaml"),
        templates: existing("templates"),
        static_dir: existing("static"),
    }
}

/// A site of the repository, which must be without errors.
#[track_caller]
pub fn generation(site: &str) -> Generation {
    let Loaded { generation, report, .. } = load(&sources(site));
    generation.unwrap_or_else(|| panic!("{site}\n{}", report.to_text(false)))
}

/// A folder with an inventory, secrets and templates of its own.
pub struct Site {
    folder: tempfile::TempDir,
    static_dir: Option<PathBuf>,
}

impl Site {
    pub fn new() -> Self {
        Site { folder: tempfile::tempdir().unwrap(), static_dir: None }
            .file("inventory.yaml", INVENTORY)
            .file("token", CANARY_TOKEN)
            .file("agent-token", CANARY_AGENT_TOKEN)
            .file("password", CANARY_PASSWORD)
            .file("templates/README", "no template")
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// The user's `artifacts.yaml`: entries, each a flow map.
    pub fn artifacts(self, entries: &[&str]) -> Self {
        let text: String = entries.iter().map(|entry| format!("  - {{{entry}}}\n")).collect();
        self.file("templates/artifacts.yaml", &format!("artifacts:\n{text}"))
    }

    pub fn template(self, name: &str, text: &str) -> Self {
        self.file(&format!("templates/{name}"), text)
    }

    /// A template and its entry, for everyone, not installed.
    pub fn artifact(self, path: &str, text: &str) -> Self {
        self.template("mine.j2", text).artifacts(&[&format!("path: {path}, template: mine.j2")])
    }

    /// One of the shipped templates with a change.
    #[track_caller]
    pub fn changed(self, name: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(Path::new("templates").join(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        self.template(name, &text.replace(from, to))
    }

    pub fn inventory(self, from: &str, to: &str) -> Self {
        assert!(INVENTORY.contains(from), "{from}");
        self.file("inventory.yaml", &INVENTORY.replace(from, to))
    }

    pub fn with_static(mut self, name: &str) -> Self {
        self.static_dir = Some(self.folder.path().join("static"));
        self.file(&format!("static/{name}"), "image")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn sources(&self) -> Sources {
        Sources {
            inventory: self.folder.path().join("inventory.yaml"),
            templates: Some(self.folder.path().join("templates")),
            static_dir: self.static_dir.clone(),
        }
    }

    pub fn load(&self) -> Loaded {
        load(&self.sources())
    }

    /// What the user reads, with the folder's own name taken out.
    pub fn findings(&self) -> String {
        let text = self.load().report.to_text(false);
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// The catalogue of a site that nothing is said about.
    #[track_caller]
    pub fn clean(&self) -> Catalogue {
        let Loaded { generation, report, .. } = self.load();
        assert_eq!(report.to_text(false), "");
        generation.unwrap().catalogue
    }

    /// The same for a site about which there is nothing but a note.
    #[track_caller]
    pub fn clean_but_for_notes(&self) -> Catalogue {
        let Loaded { generation, report, .. } = self.load();
        assert!(report.worst() <= Some(Severity::Note), "{}", report.to_text(false));
        generation.unwrap().catalogue
    }

    /// Expects findings of this worst severity that contain all of these texts; gives them.
    #[track_caller]
    pub fn expect(&self, severity: Severity, texts: &[&str]) -> String {
        let loaded = self.load();
        let found = self.findings();
        assert_eq!(loaded.report.worst(), Some(severity), "{texts:?} expected\n{found}");
        assert_eq!(loaded.generation.is_none(), severity == Severity::Error, "{found}");
        for text in texts {
            assert!(found.contains(text), "{text:?} is not in\n{found}");
        }
        assert!(!found.contains(CANARY_TOKEN) && !found.contains(CANARY_PASSWORD), "{found}");
        found
    }

    #[track_caller]
    pub fn error(&self, texts: &[&str]) -> String {
        self.expect(Severity::Error, texts)
    }

    #[track_caller]
    pub fn warning(&self, texts: &[&str]) -> String {
        self.expect(Severity::Warning, texts)
    }
}

#[track_caller]
pub fn text(catalogue: &Catalogue, path: &str) -> String {
    String::from_utf8(artifact(catalogue, path).bytes().to_vec()).unwrap()
}

#[track_caller]
pub fn artifact<'c>(catalogue: &'c Catalogue, path: &str) -> &'c Artifact {
    catalogue.get(path).unwrap_or_else(|| {
        let paths: Vec<&str> = catalogue.iter().map(|(path, _)| path.as_str()).collect();
        panic!("there is no {path} among {paths:?}")
    })
}

/// What an Ignition config says about a file on the node: its source, hash and mode.
#[track_caller]
pub fn installed(catalogue: &Catalogue, ignition: &str, path: &str) -> Option<serde_json::Value> {
    let config: serde_json::Value = serde_json::from_str(&text(catalogue, ignition)).unwrap();
    config["storage"]["files"].as_array()?.iter().find(|file| file["path"] == path).cloned()
}
