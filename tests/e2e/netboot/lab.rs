//! A network of its own: a bridge with the router's address, dnsmasq with the rendered configuration, our server.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::namespace::{Namespace, Process};
use crate::site::{Site, pxe_serve};
use crate::tools::{have, run, said};

use super::PROGRAMS;
use super::image::images;
use super::live;

/// The shipped inventory's router.
const ROUTER: &str = "192.168.26.1";

pub struct Lab {
    pub site: Site,
    pub network: Namespace,
    server: Option<Process>,
    _dnsmasq: Process,
}

impl Lab {
    /// With the shipped inventory and the lab's disk image, edited. `None` where the programs are missing.
    pub fn new(edit: impl Fn(String) -> String) -> Option<Lab> {
        if !have(PROGRAMS, true) {
            return None;
        }
        let images = &images()?.folder;
        let lab = Lab::with_live_system(edit, images);
        std::fs::copy(images.join("metal.raw"), lab.path("static/fcos/metal.raw")).unwrap();
        Some(lab)
    }

    /// The same with the real coreos-installer, and a disk image for it.
    pub fn live(edit: impl Fn(String) -> String) -> Option<Lab> {
        if !have(PROGRAMS, true) {
            return None;
        }
        let lab = Lab::with_live_system(edit, &live::images()?);
        live::write_image(&lab.path("static/fcos/metal.raw"));
        Some(lab)
    }

    fn with_live_system(edit: impl Fn(String) -> String, images: &Path) -> Lab {
        let site = Site::at_its_address(|text| edit(text + "\nfcos:\n  metal_image: pxe/fcos/metal.raw\n"));
        fill_static_folder(&site.path("static"), images);
        let network = Namespace::new();
        network.sh(&format!(
            "ip link set lo up
             ip link add br-lan type bridge
             ip address add {ROUTER}/24 dev br-lan
             ip address add fd00:26::1/64 dev br-lan nodad
             ip link set br-lan up
             ip tuntap add dev {TAP} mode tap
             ip link set {TAP} master br-lan up
             mount -t tmpfs tftp /srv
             mkdir -p /srv/pxe/tftp
             cp /usr/lib/ipxe/undionly.kpxe /usr/lib/ipxe/ipxe.efi /srv/pxe/tftp"
        ));
        let dnsmasq = start_dnsmasq(&network, &site);
        Lab { site, network, server: None, _dnsmasq: dnsmasq }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }

    /// An empty disk.
    pub fn disk(&self) -> PathBuf {
        let disk = self.path("disk.raw");
        std::fs::File::create(&disk).unwrap().set_len(80 << 20).unwrap();
        disk
    }

    /// Starts it, and waits until it is ready.
    pub fn start_server(&mut self) {
        self.start_server_until(|status| status == 200);
    }

    /// Starts it, and waits until it answers, perhaps that it is not ready.
    pub fn start_server_with_what_is_there(&mut self) {
        self.start_server_until(|status| status != 0);
    }

    fn start_server_until(&mut self, is_enough: impl Fn(u16) -> bool) {
        let mut serve = self.network.command("env");
        // Entering the namespace of mounts leaves the current folder.
        serve.arg(format!("--chdir={}", self.site.folder.path().display())).arg(pxe_serve());
        serve.args(["serve", "--listen", &format!("{ROUTER}:80")]);
        serve.args(["--static", "static"]);
        if self.path("templates").exists() {
            serve.args(["--templates", "templates"]);
        }
        serve.args(["--state-dir", "state", "--log-format", "json"]);
        self.server = Some(Process::start(&mut serve, &self.path("server.log")));
        let begin = Instant::now();
        while !is_enough(self.get("/readyz").0) {
            assert!(begin.elapsed() < Duration::from_secs(20), "no answer: {}", self.text("server.log"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// kill -9.
    pub fn kill_server(&mut self) {
        self.server = None;
    }

    /// Status (0 without an answer) and body, asked from the router itself, by the operator.
    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let mut curl = self.network.command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--write-out", "%{stderr}%{http_code}"]);
        curl.arg("--unix-socket").arg(self.path("state/operator.sock"));
        let output = run(curl.arg(format!("http://{ROUTER}{path}")), Duration::from_secs(15));
        (String::from_utf8_lossy(&output.stderr).trim().parse().unwrap_or(0), output.stdout)
    }

    /// What a machine sends and is sent while it is "down" is lost; TCP sends it again.
    pub fn set_cable(&self, state: &str) {
        self.network.sh(&format!("ip link set {TAP} {state}"));
    }

    /// A node's report about `host`, sent from `address`, which the router has as well from now on: the status.
    pub fn report_from(&self, address: &str, host: &str, report: &str) -> u16 {
        self.network.sh(&format!("ip address replace {address}/32 dev br-lan"));
        let mut curl = self.network.command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{http_code}", "--interface", address, "--data", report]);
        let output = run(curl.arg(format!("http://{ROUTER}/pxe/events/{host}")), Duration::from_secs(15));
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0)
    }

    /// What a verb of ours says that asks the server.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut verb = self.network.command(pxe_serve().to_str().unwrap());
        let output =
            run(verb.args(arguments).arg("--state-dir").arg(self.path("state")), Duration::from_secs(20));
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn arm(&self, host: &str) {
        self.ask(&["arm", host]);
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What the server's log says of requests that did not come from the router itself.
    pub fn requests(&self) -> Vec<Request> {
        self.text("server.log").lines().filter_map(Request::read).collect()
    }

    /// Changes the inventory, and waits until what is served is another generation.
    pub fn edit_inventory(&self, edit: impl Fn(String) -> String) {
        let before = self.get("/pxe/SHA256SUMS").1;
        self.write_inventory(edit);
        let begin = Instant::now();
        while self.get("/pxe/SHA256SUMS").1 == before {
            assert!(begin.elapsed() < Duration::from_secs(20), "the edit is not served");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn write_inventory(&self, edit: impl Fn(String) -> String) {
        let text = self.text("inventory.yaml");
        let edited = edit(text.clone());
        assert_ne!(edited, text, "the edit changes nothing");
        std::fs::write(self.path("inventory.yaml"), edited).unwrap();
    }
}

pub const TAP: &str = "tap0";

/// A line of the server's log about a request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub status: u64,
    pub took: Duration,
}

impl Request {
    fn read(line: &str) -> Option<Request> {
        let line: Value = serde_json::from_str(line).ok()?;
        let client = line["client"].as_str()?;
        if [ROUTER, "operator"].contains(&client) {
            return None;
        }
        let (method, path) = line["message"].as_str()?.split_once(' ')?;
        Some(Request {
            method: method.to_owned(),
            path: path.trim_matches('"').to_owned(),
            status: line["status"].as_u64()?,
            took: Duration::from_micros(line["took_us"].as_u64()?),
        })
    }
}

fn start_dnsmasq(network: &Namespace, site: &Site) -> Process {
    // What OpenWRT's dnsmasq and odhcpd do before anybody configures a boot. iPXE waits 13 s for a router advertisement
    // where there is none.
    let configuration = format!(
        "interface=br-lan\nbind-interfaces\ndhcp-authoritative\nno-resolv\nno-hosts\ndomain=lan\nlocal=/lan/\n\
         enable-ra\ndhcp-range=fd00:26::,ra-only\nra-param=br-lan,10\nlog-dhcp\n\
         dhcp-leasefile={}\nconf-file={}\n",
        site.path("leases").display(),
        site.render().join("pxe/router/dnsmasq.conf").display(),
    );
    let file = site.path("router.conf");
    std::fs::write(&file, configuration).unwrap();
    let mut dnsmasq = network.command("dnsmasq");
    dnsmasq.args(["--keep-in-foreground", "--user=root", "--pid-file=", "--log-facility=-"]);
    dnsmasq.arg(format!("--conf-file={}", file.display()));
    Process::start(&mut dnsmasq, &site.path("dnsmasq.log"))
}

/// `fcos/` as the inventory names it, and ipxe.efi for UEFI HTTP Boot.
fn fill_static_folder(folder: &Path, images: &Path) {
    std::fs::create_dir_all(folder.join("fcos")).unwrap();
    std::fs::create_dir_all(folder.join("tftp")).unwrap();
    for name in ["kernel", "initramfs.img", "rootfs.img"] {
        std::fs::copy(images.join(name), folder.join("fcos").join(name)).unwrap();
    }
    std::fs::copy("/usr/lib/ipxe/ipxe.efi", folder.join("tftp/ipxe.efi")).unwrap();
}
