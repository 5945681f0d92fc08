//! The network of the nodes: the router with dnsmasq and the server, its part of the internet, and a bridge for machines.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::namespace::{Namespace, Process};
use crate::site::{Site, pxe_serve};
use crate::tools::{command, have, run, said};

use super::{PROGRAMS, image, live};

/// The shipped inventory's router.
const ROUTER: &str = "192.168.26.1";
/// And its three machines.
pub const MACHINES: usize = 3;

/// Names that nodes ask of the internet, which the router answers for.
const INTERNET: &[&str] = &["get.k3s.io", "github.com", "api.github.com", "rpm.rancher.io"];

pub struct Lab {
    pub site: Site,
    pub network: Namespace,
    _server: Process,
    _dnsmasq: Process,
    _internet: Process,
}

impl Lab {
    /// With the shipped inventory, edited. `None` where programs or the image are missing.
    pub fn new(edit: impl Fn(String) -> String) -> Option<Lab> {
        let image = image();
        let boot_files = ["vmlinuz", "initrd", "initrd"].map(|name| image.join(name));
        // What build-image.sh writes last.
        Lab::that_boots(boot_files, &[image.join("recipe")], edit)
    }

    /// The same, with the live system that has the real coreos-installer.
    pub fn that_installs(edit: impl Fn(String) -> String) -> Option<Lab> {
        let live = live();
        let boot_files = ["kernel", "initramfs.img", "rootfs.img"].map(|name| live.join(name));
        // What the two scripts write last.
        Lab::that_boots(boot_files, &[image().join("recipe"), live.join("built-by")], edit)
    }

    /// `boot_files`: kernel, initramfs and rootfs.
    fn that_boots(
        boot_files: [PathBuf; 3],
        built: &[PathBuf],
        edit: impl Fn(String) -> String,
    ) -> Option<Lab> {
        let built: Vec<&str> = built.iter().map(|path| path.to_str().unwrap()).collect();
        if !have(&[PROGRAMS, &built].concat(), true) {
            return None;
        }
        let site = Site::at_its_address(|text| edit(with_image(text)));
        let key = site.path("key");
        succeeds("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
        let key = std::fs::read_to_string(site.path("key.pub")).unwrap();
        let inventory = std::fs::read_to_string(site.path("inventory.yaml")).unwrap();
        let (before, rest) = inventory.split_once("ssh_authorized_keys:\n  - ").unwrap();
        let (_, after) = rest.split_once('\n').unwrap();
        let inventory = format!("{before}ssh_authorized_keys:\n  - {key}{after}");
        std::fs::write(site.path("inventory.yaml"), inventory).unwrap();
        fill_static_folder(&site, boot_files);

        let network = Namespace::new();
        network.sh(&format!(
            "ip link set lo up
             ip link add br-lan type bridge
             ip address add {ROUTER}/24 dev br-lan
             ip address add fd00:26::1/64 dev br-lan nodad
             ip link set br-lan up
             for n in $(seq {MACHINES}); do
                 ip tuntap add dev tap$n mode tap
                 ip link set tap$n master br-lan up
             done
             mount -t tmpfs tftp /srv
             mkdir -p /srv/pxe/tftp
             cp /usr/lib/ipxe/undionly.kpxe /usr/lib/ipxe/ipxe.efi /srv/pxe/tftp"
        ));
        let dnsmasq = start_dnsmasq(&network, &site);
        let internet = start_internet(&network, &site);
        let server = start_server(&network, &site);
        let lab = Lab { site, network, _server: server, _dnsmasq: dnsmasq, _internet: internet };
        lab.waits("the server is ready", Duration::from_secs(20), || lab.get("/readyz").0 == 200);
        Some(lab)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.site.path(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Status (0 without an answer) and body, asked from the router itself.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut curl = self.network.command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", "--write-out", "%{stderr}%{http_code}"]);
        let output = run(curl.arg(format!("http://{ROUTER}{path}")), Duration::from_secs(15));
        let status = String::from_utf8_lossy(&output.stderr).trim().parse().unwrap_or(0);
        (status, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What a verb of ours says, beside the server.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut verb = self.network.command("env");
        verb.arg(format!("--chdir={}", self.site.folder.path().display())).arg(pxe_serve());
        let output = run(verb.args(arguments), Duration::from_secs(30));
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `pxe-serve hosts` knows of a host.
    pub fn host(&self, name: &str) -> Value {
        let hosts: Value = serde_json::from_str(&self.ask(&["hosts", "--json"])).unwrap();
        let listed = hosts["hosts"].as_array().unwrap().iter().find(|host| host["name"] == name);
        listed.unwrap_or_else(|| panic!("{name} is not in {hosts}")).clone()
    }

    /// Whether this event is among the last that are known of a host.
    pub fn has_reported(&self, host: &str, event: &str) -> bool {
        self.host(host)["events"].as_array().unwrap().iter().any(|dated| dated["event"] == event)
    }

    /// Fails with what the server and the router have said.
    pub fn waits(&self, what: &str, limit: Duration, holds: impl Fn() -> bool) -> Duration {
        let begin = Instant::now();
        while !holds() {
            assert!(
                begin.elapsed() < limit,
                "not in {limit:?}: {what}\n{}\n{}",
                tail(&self.text("server.log")),
                tail(&self.text("dnsmasq.log"))
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        begin.elapsed()
    }
}

/// The lab's disk image in place of Fedora's.
fn with_image(text: String) -> String {
    text + "\nfcos:\n  metal_image: pxe/fcos/metal.raw\n"
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn succeeds(program: &str, arguments: &[&str]) {
    let output = run(command(program).args(arguments), Duration::from_secs(60));
    assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
}

/// What the inventory may name.
fn fill_static_folder(site: &Site, boot_files: [PathBuf; 3]) {
    let standins = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/node/standins");
    for folder in ["static/fcos", "static/k3s", "static/keepalived"] {
        std::fs::create_dir_all(site.path(folder)).unwrap();
    }
    let image = image();
    let image = image.display();
    let [kernel, initramfs, rootfs] = boot_files.map(|path| path.display().to_string());
    for (from, to) in [
        (kernel, "static/fcos/kernel"),
        (initramfs, "static/fcos/initramfs.img"),
        (rootfs, "static/fcos/rootfs.img"),
        (format!("{image}/metal.raw"), "static/fcos/metal.raw"),
        (format!("{image}/keepalived-2.2.7.tar"), "static/keepalived/2.2.7.tar"),
        (format!("{standins}/k3s"), "static/k3s/k3s"),
        (format!("{standins}/get-k3s-io.sh"), "static/k3s/install.sh"),
    ] {
        // A link costs nothing; where the temporary folder is another file system it is a copy.
        if std::fs::hard_link(&from, site.path(to)).is_err() {
            std::fs::copy(&from, site.path(to)).unwrap_or_else(|error| panic!("{from}: {error}"));
        }
    }
}

fn start_dnsmasq(network: &Namespace, site: &Site) -> Process {
    // What OpenWRT's dnsmasq does before anybody configures a boot. Every other name is unknown, and every address that
    // is not of this network goes to a router that forwards nothing.
    let internet: String = INTERNET.iter().map(|name| format!("address=/{name}/{ROUTER}\n")).collect();
    let configuration = format!(
        "interface=br-lan\nbind-interfaces\ndhcp-authoritative\nno-resolv\nno-hosts\ndomain=lan\nlocal=/lan/\n\
         no-ping\nenable-ra\ndhcp-range=fd00:26::,ra-only\nra-param=br-lan,10\nlog-dhcp\n{internet}\
         dhcp-leasefile={}\nconf-file={}\n",
        site.path("leases").display(),
        site.path("pxe.conf").display(),
    );
    let mut show = command(pxe_serve().to_str().unwrap());
    show.current_dir(&site.folder).args(["show", "/pxe/router/dnsmasq.conf", "--static", "static"]);
    let rendered = run(&show, Duration::from_secs(60));
    assert!(rendered.status.success(), "{}", said(&rendered));
    std::fs::write(site.path("pxe.conf"), rendered.stdout).unwrap();
    std::fs::write(site.path("router.conf"), configuration).unwrap();
    let mut dnsmasq = network.command("dnsmasq");
    dnsmasq.args(["--keep-in-foreground", "--user=root", "--pid-file=", "--log-facility=-"]);
    dnsmasq.arg(format!("--conf-file={}", site.path("router.conf").display()));
    Process::start(&mut dnsmasq, &site.path("dnsmasq.log"))
}

fn start_internet(network: &Namespace, site: &Site) -> Process {
    let (key, request, certificate) =
        (site.path("internet.key"), site.path("internet.csr"), site.path("internet.pem"));
    let names: Vec<String> = INTERNET.iter().map(|name| format!("DNS:{name}")).collect();
    std::fs::write(site.path("internet.names"), format!("subjectAltName={}\n", names.join(","))).unwrap();
    let (ca, ca_key) = (image().join("ca.pem"), image().join("ca.key"));
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    succeeds(
        "openssl",
        &["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=internet"]
            .into_iter()
            .chain(["-keyout", &text(&key), "-out", &text(&request)])
            .collect::<Vec<_>>(),
    );
    succeeds(
        "openssl",
        &["x509", "-req", "-days", "2", "-set_serial", "1", "-in", &text(&request), "-CA", &text(&ca)]
            .into_iter()
            .chain(["-CAkey", &text(&ca_key), "-out", &text(&certificate)])
            .chain(["-extfile", &text(&site.path("internet.names"))])
            .collect::<Vec<_>>(),
    );
    let standins = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/node/standins");
    let mut python = network.command("python3");
    python.args([&format!("{standins}/internet.py"), ROUTER]).args([&certificate, &key]).arg(standins);
    Process::start(&mut python, &site.path("internet.log"))
}

fn start_server(network: &Namespace, site: &Site) -> Process {
    let mut serve = network.command("env");
    // Entering the namespace of mounts leaves the current folder.
    serve.arg(format!("--chdir={}", site.folder.path().display())).arg(pxe_serve());
    serve.args(["serve", "--listen", &format!("{ROUTER}:80")]);
    serve.args(["--static", "static", "--state-dir", "state", "--log-format", "json"]);
    Process::start(&mut serve, &site.path("server.log"))
}
