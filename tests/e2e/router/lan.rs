//! A router with a rendered dnsmasq.conf and nothing else, and a machine on its network that can be any.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::namespace::{Namespace, Process};
use crate::site::Site;
use crate::tools::{command, have, run, said};

pub struct Lan {
    router: Namespace,
    machine: Namespace,
    _dnsmasq: Process,
    folder: tempfile::TempDir,
}

/// The names that udhcpc has for what it was given, and the values.
pub type Given = BTreeMap<String, String>;

impl Lan {
    /// With the shipped inventory as `edit` leaves it; `None` where a program is missing.
    pub fn new(edit: impl Fn(String) -> String) -> Option<Lan> {
        if !have(&["dnsmasq", "busybox", "unshare", "nsenter", "setpriv", "ip", "python3"], true) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let tftp = folder.path().join("tftp");
        std::fs::create_dir(&tftp).unwrap();
        let site = Site::edited(|text| edit(text).replace("/srv/pxe/tftp", tftp.to_str().unwrap()));
        let config = site.render().join("pxe/router/dnsmasq.conf");
        std::fs::create_dir(folder.path().join("conf")).unwrap();
        std::fs::copy(&config, folder.path().join("conf/pxe-serve.conf")).unwrap();
        let test = run(command("dnsmasq").arg("--test").arg("-C").arg(&config), Duration::from_secs(10));
        assert!(test.status.success(), "{}", said(&test));

        let (router, machine) = (Namespace::new(), Namespace::new());
        router.sh(&format!(
            "ip link set lo up; ip link add br-lan type veth peer name eth0 netns {}
             ip addr add 192.168.26.1/24 dev br-lan; ip addr add fd00:26::1/64 dev br-lan nodad; ip link set br-lan up",
            machine.id()
        ));
        let mut dnsmasq = router.command("dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--no-resolv",
            "--no-hosts",
        ]);
        // It would look for half a second whether somebody has the address.
        dnsmasq.args(["--no-ping", "--log-dhcp", "--log-facility=-"]);
        for (option, name) in [("conf-dir", "conf"), ("pid-file", "pid"), ("dhcp-leasefile", "leases")] {
            dnsmasq.arg(format!("--{option}={}", folder.path().join(name).display()));
        }
        let dnsmasq = Process::start(&mut dnsmasq, &folder.path().join("log"));
        let lan = Lan { router, machine, _dnsmasq: dnsmasq, folder };
        let begin = Instant::now();
        while !lan.log().contains("started") {
            assert!(begin.elapsed() < Duration::from_secs(10), "{}", lan.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(lan)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What a machine with this network card is given; `None` for no lease.
    pub fn lease(&self, mac: &str, options: &[&str]) -> Option<Given> {
        self.machine
            .sh(&format!("ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up"));
        let script = self.folder.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n[ \"$1\" != bound ] || env\n").unwrap();
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let mut client = self.machine.command("busybox");
        client.args(["udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "3", "-T", "1", "-s"]).arg(&script);
        let output = run(client.args(options), Duration::from_secs(20));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // The rest is the test's own environment.
        let of_dhcp =
            ["boot_file", "bootfile", "domain", "hostname", "ip", "mask", "router", "siaddr", "vendor"];
        let given = text.lines().filter_map(|line| line.split_once('='));
        let given: Given = given
            .filter(|(name, _)| of_dhcp.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        (!given.is_empty()).then_some(given)
    }

    /// The address that a machine with this network card is offered by DHCPv6.
    pub fn offer6(&self, mac: &str) -> String {
        // Not before the kernel has seen that nobody else has the link-local address.
        self.machine.sh(&format!(
            "ip link set eth0 down; ip link set eth0 address {mac} up
             i=0; until ip -6 addr show dev eth0 scope link -tentative | grep -q inet6; do
                 i=$((i + 1)); [ $i -lt 100 ]; sleep 0.1
             done"
        ));
        let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/router/solicit.py");
        let mut python = self.machine.command("python3");
        let output = run(python.args([client, mac]), Duration::from_secs(20));
        assert!(output.status.success(), "{}\n{}", said(&output), self.log());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What the router's DNS says: the lines of nslookup behind the server's own.
    pub fn lookup(&self, name: &str) -> String {
        let mut nslookup = self.router.command("busybox");
        let output = run(nslookup.args(["nslookup", name, "127.0.0.1"]), Duration::from_secs(10));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_once("\n\n").map(|(_, answer)| answer.to_owned()).unwrap_or_default()
    }

    /// Whether the machine has heard that the router is one, by IPv6.
    pub fn hears_router(&self) -> bool {
        let mut ip = self.machine.command("ip");
        ip.args(["-6", "route", "show", "default"]);
        // dnsmasq advertises within 10 s.
        (0..40).any(|_| {
            std::thread::sleep(Duration::from_millis(500));
            let output = run(&ip, Duration::from_secs(5));
            String::from_utf8_lossy(&output.stdout).contains("proto ra")
        })
    }
}
