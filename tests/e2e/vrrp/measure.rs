//! What breaks, and how long it takes until another node holds the address, beside what was predicted.

use std::time::{Duration, Instant};

use pxe_serve::failover::{Failure, Seconds, predict};
use pxe_serve::ids::Priority;
use pxe_serve::inventory::Role;
use rustix::process::Signal;

use super::api::Answer;
use super::cluster::{Cluster, sole_holder};
use super::table;

/// A way to break the node that holds the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    ApiStops,
    ApiAnswers(u16),
    ApiHangs,
    CableIsPulled,
    KeepalivedStops,
    KeepalivedIsKilled,
}

impl Break {
    pub fn failure(self) -> Failure {
        match self {
            Break::ApiStops | Break::ApiAnswers(_) => Failure::ApiFails,
            Break::ApiHangs => Failure::ApiHangs,
            Break::CableIsPulled | Break::KeepalivedIsKilled => Failure::HostDies,
            Break::KeepalivedStops => Failure::GracefulStop,
        }
    }

    pub fn happens(self, cluster: &mut Cluster, node: usize) {
        match self {
            Break::ApiStops => cluster.nodes[node].api_answers(Answer::Refused),
            Break::ApiAnswers(status) => cluster.nodes[node].api_answers(Answer::Status(status)),
            Break::ApiHangs => cluster.nodes[node].api_answers(Answer::Hangs),
            Break::CableIsPulled => cluster.switch.pull_cable(cluster.port(node)),
            Break::KeepalivedStops => cluster.nodes[node].signal_keepalived(Signal::TERM),
            Break::KeepalivedIsKilled => cluster.nodes[node].kill_vrrp_process(),
        }
    }

    pub fn is_repaired(self, cluster: &mut Cluster, node: usize) {
        match self {
            Break::ApiStops | Break::ApiAnswers(_) | Break::ApiHangs => {
                cluster.nodes[node].api_answers(Answer::Healthy);
            }
            Break::CableIsPulled => cluster.switch.plug_cable(cluster.port(node)),
            Break::KeepalivedStops => {
                cluster.nodes[node].keepalived_ends();
                cluster.nodes[node].start();
            }
            // keepalived itself starts its process again.
            Break::KeepalivedIsKilled => {}
        }
    }
}

/// A failover that happened.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub failure: Failure,
    pub predicted: Seconds,
    pub seconds: f64,
    /// Who holds the address now.
    pub holder: usize,
}

impl Cluster {
    /// Breaks the holder, and waits until another node holds the address, which must take as long as predicted.
    pub fn fails_over(&mut self, how: Break) -> Measured {
        let before = self.holder().expect("somebody holds the address");
        let predicted = self.predicted(how.failure(), before);
        let begin = Instant::now();
        how.happens(self, before);
        let moved = self.timeline.wait(Duration::from_secs(20), |holders| {
            sole_holder(holders, &self.vips).is_some_and(|now| now != before)
        });
        let moved =
            moved.unwrap_or_else(|| panic!("{how:?} of {}: nobody took over", self.nodes[before].name));
        let seconds = (moved - begin).as_secs_f64();
        let holder = self.holder().expect("it has just moved");
        println!(
            "{how:?} of {}: {} holds the address after {seconds:.2} s, predicted {:.2} to {:.2} s",
            self.nodes[before].name, self.nodes[holder].name, predicted.least, predicted.most
        );
        assert!(is_as_predicted(seconds, predicted), "{how:?} took {seconds:.2} s, predicted {predicted:?}");
        let measured = Measured { failure: how.failure(), predicted, seconds, holder };
        table::record(&self.describe(), measured);
        measured
    }

    /// What the inventory lets expect when `holder` fails, and the nodes that are ready are the ones that may follow.
    fn predicted(&self, failure: Failure, holder: usize) -> Seconds {
        let mut inventory = self.inventory.clone();
        let ready: Vec<usize> = self.ready().collect();
        for (node, host) in inventory.hosts.iter_mut().enumerate() {
            if node != holder && !ready.contains(&node) {
                host.role = Role::Worker;
            }
        }
        // It is the first in order, as if all of them had been there from the beginning.
        let mut first = inventory.hosts.remove(holder);
        first.role = Role::ControlPlane { priority: Priority::new(254).unwrap() };
        inventory.hosts.insert(0, first);
        let predictions = predict(&inventory).predictions;
        predictions.into_iter().find(|prediction| prediction.failure == failure).unwrap().total
    }
}

/// Within 20 % or half a second, whichever is more.
fn is_as_predicted(seconds: f64, predicted: Seconds) -> bool {
    let least = (predicted.least * 0.8).min(predicted.least - 0.5);
    let most = (predicted.most * 1.2).max(predicted.most + 0.5);
    (least..=most).contains(&seconds)
}
