//! A site in a folder of its own: the shipped inventory, with its base URL at a port of this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin;

use crate::tools::{command, run, said};

pub struct Site {
    pub folder: tempfile::TempDir,
    /// Where the inventory says that nodes fetch their files.
    pub port: u16,
}

impl Site {
    /// The seed's three lenovos.
    pub fn seed() -> Site {
        Site::edited(|text| text)
    }

    /// The same with the inventory edited.
    pub fn edited(edit: impl Fn(String) -> String) -> Site {
        // A port that was free a moment ago: the base URL is in the inventory before the server starts.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let here = |text: String| {
            let text = text.replace("http://192.168.26.1 ", &format!("http://127.0.0.1:{port} "));
            assert!(
                text.contains(&port.to_string()),
                "the shipped inventory has another base_url than this test expects"
            );
            edit(text)
        };
        Site { port, ..Site::at_its_address(here) }
    }

    /// With the base URL that the shipped inventory names, for a namespace that has this address.
    pub fn at_its_address(edit: impl Fn(String) -> String) -> Site {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(root.join("inventory.yaml")).unwrap();
        std::fs::write(folder.path().join("inventory.yaml"), edit(text)).unwrap();
        std::fs::create_dir(folder.path().join("secrets")).unwrap();
        for secret in ["keepalived-auth-pass", "k3s-token", "k3s-agent-token"] {
            std::fs::copy(root.join("secrets").join(secret), folder.path().join("secrets").join(secret))
                .unwrap();
        }
        Site { folder, port: 80 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `pxe-serve render --out`, the folder it wrote.
    pub fn render(&self) -> PathBuf {
        let out = self.path("bundle");
        let output = run(
            command(pxe_serve().to_str().unwrap())
                .current_dir(&self.folder)
                .args(["render", "--out"])
                .arg(&out),
            LIMIT,
        );
        assert!(output.status.success(), "{}", said(&output));
        out
    }
}

pub fn pxe_serve() -> PathBuf {
    cargo_bin("pxe-serve")
}

/// More than a command of ours ever takes on a busy machine.
pub const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Every file of a bundle below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
