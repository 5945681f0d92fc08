//! How long the control-plane address is away, predicted from the inventory alone.
//!
//! keepalived's timers, as RFC 3768 (VRRPv2, IPv4), RFC 5798 (VRRPv3, IPv6) and keepalived.conf(5) have them: a backup that hears nothing takes over after
//! three advert intervals and its skew; one that hears the master leave (an advert with priority 0, which FAULT and a
//! graceful stop send) after its skew alone. Before FAULT, the health check must have failed `fall` times in a row.

use std::ops::Add;

use crate::ids::HostName;
use crate::inventory::{Inventory, Role};

/// From the best case to the worst, in seconds: where in its interval a timer stands when something fails is chance.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Seconds {
    pub least: f64,
    pub most: f64,
}

impl Seconds {
    const fn exactly(seconds: f64) -> Self {
        Seconds { least: seconds, most: seconds }
    }
}

impl Add for Seconds {
    type Output = Seconds;

    fn add(self, other: Seconds) -> Seconds {
        Seconds { least: self.least + other.least, most: self.most + other.most }
    }
}

/// What may happen to the node that holds the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// k3s is stopped or answers with an error: each check fails at once.
    ApiFails,
    /// The API takes connections and never answers: each check fails after its own time limit.
    ApiHangs,
    /// Power or network is gone, without a word.
    HostDies,
    /// keepalived is stopped, as at a reboot.
    GracefulStop,
}

impl Failure {
    pub const ALL: [Failure; 4] =
        [Failure::ApiFails, Failure::ApiHangs, Failure::HostDies, Failure::GracefulStop];

    pub fn name(self) -> &'static str {
        match self {
            Failure::ApiFails => "API stops or fails",
            Failure::ApiHangs => "API hangs",
            Failure::HostDies => "host or its network dies",
            Failure::GracefulStop => "keepalived is stopped",
        }
    }
}

/// A control plane, and how long it waits beyond the common timers.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Candidate {
    pub host: HostName,
    pub priority: u8,
    pub skew_seconds: f64,
}

/// One failure: how long until it is known, and until the next one holds the address.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Prediction {
    pub failure: Failure,
    pub detection: Seconds,
    pub election: Seconds,
    pub total: Seconds,
}

/// Who takes over in which order, and how long each failure takes when the next in order is there.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Failover {
    /// The highest priority first: it wins the first election, the others follow in this order.
    pub order: Vec<Candidate>,
    /// Nobody can take over from a single control plane.
    pub predictions: Vec<Prediction>,
    pub master_down_seconds: f64,
}

/// The timers of an inventory, in the RFC's terms.
struct Timers {
    advert_seconds: f64,
    interval_seconds: f64,
    fall: f64,
    /// The health check's own limit, after which it gives up on a server that hangs.
    check_limit_seconds: f64,
}

pub fn predict(inventory: &Inventory) -> Failover {
    let keepalived = &inventory.keepalived;
    let check = &keepalived.health_check;
    let timers = Timers {
        advert_seconds: keepalived.advert_int_seconds.into(),
        interval_seconds: check.interval_seconds.into(),
        fall: check.fall.into(),
        check_limit_seconds: check.limit_seconds(),
    };
    let mut order: Vec<Candidate> = inventory
        .hosts
        .iter()
        .filter_map(|host| match host.role {
            Role::ControlPlane { priority } => Some(Candidate {
                host: host.name.clone(),
                priority: priority.get(),
                skew_seconds: skew(priority.get(), timers.advert_seconds),
            }),
            Role::Worker => None,
        })
        .collect();
    order.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    let successor = order.get(1);
    let predictions = successor
        .map(|successor| {
            Failure::ALL.into_iter().map(|failure| timers.predict(failure, successor.skew_seconds)).collect()
        })
        .unwrap_or_default();
    let skew = successor.map_or(0.0, |successor| successor.skew_seconds);
    Failover { order, predictions, master_down_seconds: 3.0 * timers.advert_seconds + skew }
}

/// RFC 5798 §6.1: the lower the priority, the longer a backup waits, so that the best one is first.
fn skew(priority: u8, advert_seconds: f64) -> f64 {
    f64::from(256 - u16::from(priority)) / 256.0 * advert_seconds
}

impl Timers {
    fn predict(&self, failure: Failure, skew_seconds: f64) -> Prediction {
        let leaving = Seconds::exactly(skew_seconds);
        let (detection, election) = match failure {
            Failure::ApiFails => (self.failed_checks(0.0), leaving),
            Failure::ApiHangs => (self.failed_checks(self.check_limit_seconds), leaving),
            // The last advert was sent up to one interval before the end.
            Failure::HostDies => {
                let silence = 3.0 * self.advert_seconds + skew_seconds;
                (Seconds::exactly(0.0), Seconds { least: silence - self.advert_seconds, most: silence })
            }
            Failure::GracefulStop => (Seconds::exactly(0.0), leaving),
        };
        Prediction { failure, detection, election, total: detection + election }
    }

    /// `fall` checks in a row, the first up to an interval after the failure, each as long as `each_takes`.
    fn failed_checks(&self, each_takes: f64) -> Seconds {
        // keepalived does not start a check while the last one runs, it waits for the next beat of the interval.
        let beats = (each_takes / self.interval_seconds).floor() + 1.0;
        let between = (self.fall - 1.0) * beats * self.interval_seconds;
        Seconds { least: between + each_takes, most: self.interval_seconds + between + each_takes }
    }
}
