//! nginx as the static server that a bundle is made for.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::ignition::{apply, assert_applied};
use crate::site::Site;
use crate::tools::{command, have};

pub struct Nginx {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Serves `root` on loopback until dropped.
    pub fn start(root: &Path) -> Nginx {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Nginx::start_at(root, port)
    }

    pub fn start_at(root: &Path, port: u16) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().display();
        // As root, since secrets in a bundle are readable for their owner only.
        let configuration = format!(
            "user root;\ndaemon off;\nmaster_process off;\npid {work}/pid;\nerror_log {work}/error.log;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n  access_log off;\n  default_type application/octet-stream;\n  client_body_temp_path {work}/body;\n\
             proxy_temp_path {work}/proxy;\n  fastcgi_temp_path {work}/fastcgi;\n  uwsgi_temp_path {work}/uwsgi;\n  scgi_temp_path {work}/scgi;\n\
             server {{ listen 127.0.0.1:{port}; root {root}; }}\n}}\n",
            root = root.display()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = command("nginx")
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Nginx { child, port, _folder: folder };
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "nginx does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_bundle_behind_nginx_installs_a_node_as_well() {
    if !have(&["/usr/lib/dracut/modules.d/30ignition/ignition", "nginx", "unshare", "useradd"], true) {
        return;
    }
    let site = Site::seed();
    let bundle = site.render();
    let nginx = Nginx::start_at(&bundle, site.port);
    let config = std::fs::read(bundle.join("pxe/ignition/lenovo1.ign")).unwrap();
    let applied = apply(&nginx.url("/pxe/ignition/lenovo1.ign"));
    assert!(applied.good, "{}", applied.log);
    assert_applied(&serde_json::from_slice(&config).unwrap(), &applied.root);
}
