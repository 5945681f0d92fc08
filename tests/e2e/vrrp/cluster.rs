//! Control planes on a switch, made from an inventory.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pxe_serve::inventory::Inventory;
use rustix::process::Signal;

use crate::site::Site;

use super::api::{Answer, Api};
use super::namespace::Namespace;
use super::node::Node;
use super::timeline::Timeline;

/// What the inventory of a lab says where labs differ.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Their priorities, which are their number as well.
    pub priorities: Vec<u8>,
    /// What the VIPs and the nodes' addresses begin with.
    pub networks: Vec<&'static str>,
    pub vip: u8,
    pub first_node: u8,
    pub virtual_router_id: u8,
    /// Lines of `keepalived:`.
    pub keepalived: Vec<&'static str>,
    pub k3s_version: &'static str,
}

pub const IPV4: &str = "192.168.26.";
pub const IPV6: &str = "fd00:26::";

impl Default for Shape {
    /// The seed's three nodes.
    fn default() -> Shape {
        Shape {
            priorities: vec![100, 90, 80],
            networks: vec![IPV4],
            vip: 253,
            first_node: 5,
            virtual_router_id: 26,
            keepalived: Vec::new(),
            k3s_version: "v1.32.5+k3s1",
        }
    }
}

impl Shape {
    fn list(&self, last: &str) -> String {
        let all: Vec<String> = self.networks.iter().map(|network| format!("\"{network}{last}\"")).collect();
        format!("[{}]", all.join(", "))
    }

    pub fn vips(&self) -> Vec<IpAddr> {
        self.networks.iter().map(|network| format!("{network}{}", self.vip).parse().unwrap()).collect()
    }

    pub fn inventory(&self) -> String {
        let networks: Vec<&str> = self
            .networks
            .iter()
            .map(|&network| if network == IPV4 { "192.168.26.0/24" } else { "\"fd00:26::/64\"" })
            .collect();
        let mut text = format!(
            "vips: {{control_planes: {vips}}}\n\
             router: {{base_url: \"http://192.168.26.1\"}}\n\
             network: {{cidr: [{networks}]}}\n\
             ssh_authorized_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzUp9aFGSVtaxGK8Eh0x8QiFO19CrkKiJT5XWMKW2E lab]\n\
             k3s: {{version: {version}, token: {{file: secrets/k3s-token}}, bootstrap_host: node1, phase: reinstall}}\n\
             defaults: {{role: control_plane, interface: eth0, install_device: /dev/sda}}\n\
             keepalived:\n  virtual_router_id: {id}\n  auth_pass: {{file: secrets/keepalived-auth-pass}}\n",
            vips = self.list(&self.vip.to_string()),
            networks = networks.join(", "),
            version = self.k3s_version,
            id = self.virtual_router_id,
        );
        self.keepalived.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text.push_str("hosts:\n");
        for (place, priority) in self.priorities.iter().enumerate() {
            let number = place + 1;
            let addresses = self.list(&(usize::from(self.first_node) + place).to_string());
            text.push_str(&format!(
                "  node{number}: {{address: {addresses}, mac: \"52:54:00:00:00:{number:02x}\", priority: {priority}}}\n"
            ));
        }
        text
    }
}

/// A switch that drops nothing.
pub struct Switch {
    namespace: Namespace,
}

impl Switch {
    pub fn new() -> Rc<Switch> {
        let namespace = Namespace::new();
        namespace.sh("ip link add br0 type bridge; ip link set br0 up");
        Rc::new(Switch { namespace })
    }

    /// As a switch does that looks for subscribers, and does not know of any.
    pub fn drops_multicast(&self) {
        // /sys shows the machine's network, not this one's.
        self.namespace.sh("for port in $(ip -brief link show master br0 | cut -d@ -f1); do
                 bridge link set dev $port mcast_flood off
             done");
    }
}

pub struct Cluster {
    pub shape: Shape,
    pub inventory: Inventory,
    pub vips: Vec<IpAddr>,
    pub nodes: Vec<Node>,
    pub timeline: Timeline,
    /// How long two nodes may hold an address while it is handed over.
    pub handover: Duration,
    site: Site,
    switch: Rc<Switch>,
}

impl Cluster {
    /// Every node with a healthy API, and keepalived not yet started.
    pub fn new(shape: Shape) -> Cluster {
        Cluster::on(&Switch::new(), shape)
    }

    /// The same on a switch that others use as well.
    pub fn on(switch: &Rc<Switch>, shape: Shape) -> Cluster {
        let text = shape.inventory();
        let site = Site::edited(|_| text.clone());
        let (inventory, report) = pxe_serve::inventory::parse("inventory.yaml", text.as_bytes());
        let inventory = inventory.unwrap_or_else(|| panic!("{report:?}\n{text}"));
        let bundle = site.render();
        let folder = site.path("lab");
        std::fs::create_dir(&folder).unwrap();
        Api::prepare(&folder);
        let mut timeline = Timeline::new();
        let mut nodes = Vec::new();
        for (place, host) in inventory.hosts.iter().enumerate() {
            let mut node = Node::new(host.name.as_str(), &folder);
            node.install(&bundle);
            timeline.watch(place, &node.namespace);
            connect(&switch.namespace, &node, shape.first_node as usize + place, &host.addresses);
            node.api_answers(Answer::Healthy);
            nodes.push(node);
        }
        let vips = shape.vips();
        let cluster = Cluster {
            vips,
            inventory,
            nodes,
            timeline,
            handover: Duration::ZERO,
            site,
            switch: Rc::clone(switch),
            shape,
        };
        cluster.wait("every monitor to tell of its node's own address", 10, |cluster| {
            cluster.timeline.holders().values().map(BTreeSet::len).sum::<usize>() >= cluster.nodes.len()
        });
        cluster
    }

    /// The same with keepalived started on every node, the best first, and the address on it.
    pub fn elected(shape: Shape) -> Cluster {
        let mut cluster = Cluster::new(shape);
        cluster.start_all();
        cluster.moves_to(0);
        cluster
    }

    /// The best first: whose timer runs out first wins, and default priorities are 0.04 s apart.
    pub fn start_all(&mut self) {
        for node in &mut self.nodes {
            node.start_keepalived();
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The one node that holds every address.
    pub fn holder(&self) -> Option<usize> {
        sole_holder(&self.timeline.holders(), &self.vips)
    }

    /// Waits until every address is on this node, and on no other.
    pub fn moves_to(&self, node: usize) -> Instant {
        let limit = Duration::from_secs(20);
        let moved = self.timeline.wait(limit, |holders| sole_holder(holders, &self.vips) == Some(node));
        moved.unwrap_or_else(|| panic!("the address did not come to {}", self.nodes[node].name))
    }

    /// Waits for anything else.
    pub fn wait(&self, what: &str, seconds: u64, is_so: impl Fn(&Cluster) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "waited {seconds} s for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing moves for a while.
    pub fn keeps(&self, node: usize, seconds: f64) {
        let begin = Instant::now();
        assert_eq!(self.holder(), Some(node));
        std::thread::sleep(Duration::from_secs_f64(seconds));
        assert_eq!(self.holder(), Some(node));
        for vip in &self.vips {
            assert_eq!(self.timeline.changes(*vip, Some(begin)), 0, "{vip} went and came");
        }
    }

    /// The node's end of the cable stays up, and nothing comes through: the others and it are two networks.
    pub fn split_off(&self, node: usize) {
        self.switch.namespace.sh(&format!("ip link set {} nomaster", self.port(node)));
    }

    pub fn join_again(&self, node: usize) {
        self.switch.namespace.sh(&format!("ip link set {} master br0", self.port(node)));
    }

    /// The cable itself, which both ends notice.
    pub fn pull_cable(&self, node: usize) {
        self.switch.namespace.sh(&format!("ip link set {} down", self.port(node)));
    }

    pub fn plug_cable(&self, node: usize) {
        self.switch.namespace.sh(&format!("ip link set {} up", self.port(node)));
    }

    fn port(&self, node: usize) -> String {
        format!("port{}", usize::from(self.shape.first_node) + node)
    }

    /// In a few words, for the table.
    pub fn describe(&self) -> String {
        let families: Vec<&str> = self
            .shape
            .networks
            .iter()
            .map(|network| if *network == IPV4 { "IPv4" } else { "IPv6" })
            .collect();
        let further: Vec<String> = self.shape.keepalived.iter().map(|line| format!(", `{line}`")).collect();
        format!("{} nodes, {}{}", self.nodes.len(), families.join(" and "), further.concat())
    }

    /// The nodes whose keepalived may hold the address.
    pub fn ready(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_ready())
    }

    /// Renders the inventory with an edit, and puts the new files on every node.
    pub fn reinstall(&mut self, edit: impl Fn(String) -> String) {
        let inventory = self.site.path("inventory.yaml");
        let before = std::fs::read_to_string(&inventory).unwrap();
        let after = edit(before.clone());
        assert_ne!(before, after);
        std::fs::write(&inventory, after).unwrap();
        std::fs::remove_dir_all(self.site.path("bundle")).unwrap();
        let bundle = self.site.render();
        self.nodes.iter().for_each(|node| node.install(&bundle));
    }

    pub fn wait_until_ready(&self, node: usize) {
        self.wait(&format!("{} to be ready", self.nodes[node].name), 15, |cluster| {
            cluster.nodes[node].is_ready()
        });
    }
}

pub fn sole_holder(holders: &super::timeline::Holders, vips: &[IpAddr]) -> Option<usize> {
    let none = BTreeSet::new();
    let first = holders.get(vips.first()?).unwrap_or(&none);
    let same = vips.iter().all(|vip| holders.get(vip).unwrap_or(&none) == first);
    (same && first.len() == 1).then(|| *first.first().unwrap())
}

fn connect(switch: &Namespace, node: &Node, port: usize, addresses: &[IpAddr]) {
    let id = node.namespace.id();
    switch.sh(&format!(
        "ip link add port{port} type veth peer name eth0 netns {id}; ip link set port{port} master br0 up"
    ));
    let addresses: Vec<String> = addresses
        .iter()
        .map(|address| format!("ip addr add {address}/{} dev eth0", if address.is_ipv4() { 24 } else { 64 }))
        .collect();
    // Without the seconds in which the kernel looks whether somebody else has the address.
    node.namespace.sh(&format!(
        "for of in all default eth0; do echo 0 >/proc/sys/net/ipv6/conf/$of/accept_dad; done
         ip link set eth0 up
         {}",
        addresses.join("\n")
    ));
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter().for_each(|node| node.signal_keepalived(Signal::TERM));
        self.nodes.iter_mut().for_each(Node::keepalived_ends);
        let mut overlaps = self.timeline.overlaps();
        overlaps.retain(|(_, time)| *time > self.handover);
        if std::thread::panicking() || !overlaps.is_empty() {
            eprintln!("{}", self.timeline.story());
            for node in &self.nodes {
                eprintln!("== {}\n{}", node.name, node.log_text());
            }
        }
        if !std::thread::panicking() {
            assert!(overlaps.is_empty(), "two nodes held an address: {overlaps:#?}");
        }
    }
}
