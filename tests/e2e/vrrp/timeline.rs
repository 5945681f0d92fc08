//! Who held which address when: each node's kernel tells of every address that comes and goes, so nothing is between
//! two samples, and a lab at rest costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::namespace::{Namespace, Process};

/// The nodes that hold each address.
pub type Holders = BTreeMap<IpAddr, BTreeSet<usize>>;

#[derive(Debug, Clone)]
pub struct Event {
    at: Instant,
    node: usize,
    address: IpAddr,
    comes: bool,
}

#[derive(Default)]
struct Known {
    events: Vec<Event>,
    holders: Holders,
    /// Whether the network is split: then each part may have a holder.
    split: bool,
    /// Since when two nodes hold an address, and no split explains it.
    doubled: BTreeMap<IpAddr, Instant>,
    /// For how long they did.
    overlaps: Vec<(IpAddr, Duration)>,
}

pub struct Timeline {
    begin: Instant,
    shared: Arc<(Mutex<Known>, Condvar)>,
    monitors: Vec<Process>,
}

impl Timeline {
    pub fn new() -> Timeline {
        Timeline { begin: Instant::now(), shared: Arc::default(), monitors: Vec::new() }
    }

    /// Watches a node from now on.
    pub fn watch(&mut self, node: usize, namespace: &Namespace) {
        let mut monitor = namespace.command("ip");
        let (process, lines) = Process::piped(monitor.args(["-oneline", "monitor", "address"]));
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some((address, comes)) = parse(&line) {
                    let (known, changed) = &*shared;
                    known.lock().unwrap().add(Event { at: Instant::now(), node, address, comes });
                    changed.notify_all();
                }
            }
        });
        self.monitors.push(process);
    }

    /// From now on two nodes may hold an address, or again not.
    pub fn split(&self, is_split: bool) {
        let mut known = self.shared.0.lock().unwrap();
        known.split = is_split;
        known.judge(Instant::now());
    }

    /// Waits until the holders are as `is_so` wants them, and gives the moment at which that became true.
    pub fn wait(&self, limit: Duration, is_so: impl Fn(&Holders) -> bool) -> Option<Instant> {
        let deadline = Instant::now() + limit;
        let (known, changed) = &*self.shared;
        let mut known = known.lock().unwrap();
        loop {
            if is_so(&known.holders) {
                return Some(known.events.last().map_or_else(Instant::now, |event| event.at));
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            known = changed.wait_timeout(known, left).unwrap().0;
        }
    }

    pub fn holders(&self) -> Holders {
        self.shared.0.lock().unwrap().holders.clone()
    }

    pub fn holders_of(&self, address: IpAddr) -> BTreeSet<usize> {
        self.holders().remove(&address).unwrap_or_default()
    }

    /// How often `address` came or went, since `moment` or ever.
    pub fn changes(&self, address: IpAddr, moment: Option<Instant>) -> usize {
        let known = self.shared.0.lock().unwrap();
        let events = known.events.iter().filter(|event| Some(event.at) >= moment);
        events.filter(|event| event.address == address).count()
    }

    /// How long an address was on two nodes, each time it was.
    pub fn overlaps(&self) -> Vec<(IpAddr, Duration)> {
        let known = self.shared.0.lock().unwrap();
        let still = known.doubled.iter().map(|(address, since)| (*address, since.elapsed()));
        known.overlaps.iter().copied().chain(still).collect()
    }

    /// Everything that was seen, for the message of a failure.
    pub fn story(&self) -> String {
        let known = self.shared.0.lock().unwrap();
        let line = |event: &Event| {
            let seconds = (event.at - self.begin).as_secs_f64();
            let what = if event.comes { "gets" } else { "loses" };
            format!("{seconds:8.3} node {} {what} {}\n", event.node + 1, event.address)
        };
        known.events.iter().map(line).collect()
    }
}

impl Known {
    fn add(&mut self, event: Event) {
        let holders = self.holders.entry(event.address).or_default();
        if event.comes {
            holders.insert(event.node);
        } else {
            holders.remove(&event.node);
        }
        self.judge(event.at);
        self.events.push(event);
    }

    fn judge(&mut self, at: Instant) {
        for (address, nodes) in &self.holders {
            if nodes.len() > 1 && !self.split {
                self.doubled.entry(*address).or_insert(at);
            } else if let Some(since) = self.doubled.remove(address) {
                self.overlaps.push((*address, at - since));
            }
        }
    }
}

/// `2: eth0    inet 192.168.26.253/32 scope global eth0…`, or the same after `Deleted`.
fn parse(line: &str) -> Option<(IpAddr, bool)> {
    let mut words = line.split_whitespace().skip_while(|word| !matches!(*word, "inet" | "inet6"));
    let address = words.nth(1)?.split('/').next()?.parse().ok()?;
    Some((address, !line.starts_with("Deleted")))
}
