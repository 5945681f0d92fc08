//! Control planes on a switch, made from an inventory.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pxe_serve::inventory::Inventory;
use rustix::process::Signal;

use crate::site::Site;

use super::api::{Answer, Api};
use super::node::Node;
use super::shape::{IPV4, Shape};
use super::switch::Switch;
use super::timeline::Timeline;

pub struct Cluster {
    pub shape: Shape,
    pub inventory: Inventory,
    pub vips: Vec<IpAddr>,
    pub nodes: Vec<Node>,
    pub timeline: Timeline,
    /// How long two nodes may hold an address while it is handed over.
    pub handover: Duration,
    site: Site,
    pub switch: Rc<Switch>,
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
            switch.connect(usize::from(shape.first_node) + place, &node, &host.addresses);
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
            node.start();
            // An unhealthy one never is.
            let deadline = Instant::now() + Duration::from_secs(1);
            while !node.is_ready() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
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

    /// The port of the switch that a node is in.
    pub fn port(&self, node: usize) -> usize {
        usize::from(self.shape.first_node) + node
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
