//! How long the control-plane address is away, predicted from the inventory alone.
//!
//! keepalived's timers, as RFC 3768 (VRRPv2, IPv4), RFC 5798 (VRRPv3, IPv6) and keepalived.conf(5) have them: a backup that hears nothing takes over after
//! three advert intervals and its skew; one that hears the master leave (an advert with priority 0, which FAULT and a
//! graceful stop send) after its skew alone. Before FAULT, the health check must have failed `fall` times in a row.

use std::ops::Add;

use crate::ids::HostName;
use crate::inventory::{Inventory, Role, RunOn};

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

impl Failover {
    /// The sums behind the table, with this inventory's numbers in them.
    pub fn formulas(&self, inventory: &Inventory) -> Vec<String> {
        let Some(next) = self.order.get(1) else { return Vec::new() };
        let check = &inventory.keepalived.health_check;
        let (interval, fall, limit) = (check.interval_seconds, check.fall, check.limit_seconds());
        let advert = inventory.keepalived.advert_int_seconds;
        let hang = self.predictions.iter().find(|prediction| prediction.failure == Failure::ApiHangs);
        vec![
            format!(
                "a failed API is noticed after (fall − 1) to fall × interval: {fall} × {interval} s at most"
            ),
            format!(
                "a hanging one costs each check its own limit, timeout − 0.5 s = {limit} s: {} s at most",
                hang.map_or(0.0, |prediction| prediction.detection.most)
            ),
            format!(
                "a dead host is missed after 3 × advert_int + skew: 3 × {advert} s + {:.2} s",
                next.skew_seconds
            ),
            format!(
                "a node that leaves says so, and {} waits its skew: (256 − {}) ÷ 256 = {:.2} s",
                next.host, next.priority, next.skew_seconds
            ),
        ]
    }
}

/// The timers of an inventory, in the RFC's terms.
struct Timers {
    advert_seconds: f64,
    interval_seconds: f64,
    fall: f64,
    /// The health check's own limit, after which it gives up on a server that hangs.
    check_limit_seconds: f64,
    run_on: RunOn,
}

pub fn predict(inventory: &Inventory) -> Failover {
    let keepalived = &inventory.keepalived;
    let check = &keepalived.health_check;
    let timers = Timers {
        advert_seconds: keepalived.advert_int_seconds.into(),
        interval_seconds: check.interval_seconds.into(),
        fall: check.fall.into(),
        check_limit_seconds: check.limit_seconds(),
        run_on: check.run_on,
    };
    // VIPs of both families move together, so the slower of the two protocols counts.
    let is_v3_only = inventory.vips.control_planes.iter().all(|vip| vip.is_ipv6());
    let mut order: Vec<Candidate> = inventory
        .hosts
        .iter()
        .filter_map(|host| match host.role {
            Role::ControlPlane { priority } => Some(Candidate {
                host: host.name.clone(),
                priority: priority.get(),
                skew_seconds: skew(priority.get(), if is_v3_only { timers.advert_seconds } else { 1.0 }),
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

/// The lower the priority, the longer a backup waits, so that the best one is first: (256 − priority) / 256 of a second
/// in VRRPv2 (RFC 3768 §6.1), of the advert interval in VRRPv3 (RFC 5798 §6.1).
fn skew(priority: u8, unit_seconds: f64) -> f64 {
    f64::from(256 - u16::from(priority)) / 256.0 * unit_seconds
}

impl Timers {
    fn predict(&self, failure: Failure, skew_seconds: f64) -> Prediction {
        let leaving = Seconds::exactly(skew_seconds);
        let (detection, election) = match failure {
            Failure::ApiFails => (self.failed_checks(0.0), leaving),
            Failure::ApiHangs => (self.failed_checks(self.check_limit_seconds), leaving),
            // The last advert was sent up to one interval before the end.
            Failure::HostDies => {
                let three = 3.0 * self.advert_seconds;
                (Seconds { least: three - self.advert_seconds, most: three }, leaving)
            }
            Failure::GracefulStop => (Seconds::exactly(0.0), leaving),
        };
        Prediction { failure, detection, election, total: detection + election }
    }

    /// `fall` checks in a row, the first up to a beat after the failure, each as long as `each_takes`.
    fn failed_checks(&self, each_takes: f64) -> Seconds {
        let beat = match self.run_on {
            // keepalived does not start a check while the last one runs: it waits for the next beat of the interval.
            RunOn::Container => ((each_takes / self.interval_seconds).floor() + 1.0) * self.interval_seconds,
            // The loop on the host sleeps after each check.
            RunOn::Host => self.interval_seconds + each_takes,
        };
        let least = (self.fall - 1.0) * beat + each_takes;
        Seconds { least, most: least + self.interval_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predicted(edit: impl Fn(&str) -> String) -> Failover {
        let inventory = "\
vips: {control_planes: 192.168.26.253}
router: {base_url: http://192.168.26.1}
network: {cidr: 192.168.26.0/24}
ssh_authorized_keys: [ssh-ed25519 AAAA me]
keepalived: {virtual_router_id: 26}
k3s: {version: v1.32.5+k3s1, token: {env: TOKEN}}
defaults: {role: control_plane, interface: eth0, install_device: /dev/nvme0n1}
hosts:
  lenovo1: {address: 192.168.26.5, mac: 52:54:00:00:00:01}
  lenovo2: {address: 192.168.26.6, mac: 52:54:00:00:00:02}
  lenovo3: {address: 192.168.26.7, mac: 52:54:00:00:00:03}
";
        let (inventory, report) = crate::inventory::parse("inventory.yaml", edit(inventory).as_bytes());
        predict(&inventory.unwrap_or_else(|| panic!("{}", report.to_text(false))))
    }

    fn total(failover: &Failover, failure: Failure) -> Seconds {
        failover.predictions.iter().find(|prediction| prediction.failure == failure).unwrap().total
    }

    fn about(seconds: Seconds, least: f64, most: f64) {
        assert!((seconds.least - least).abs() < 0.01 && (seconds.most - most).abs() < 0.01, "{seconds:?}");
    }

    #[test]
    fn the_seeds_three_nodes_move_the_address_as_measured_in_the_lab() {
        let failover = predicted(str::to_owned);
        let order: Vec<String> = failover.order.iter().map(|candidate| candidate.host.to_string()).collect();
        assert_eq!(order, ["lenovo1", "lenovo2", "lenovo3"]);
        // lenovo2, priority 90: a skew of 166/256 s.
        about(total(&failover, Failure::ApiFails), 2.0 + 0.648, 4.0 + 0.648);
        about(total(&failover, Failure::ApiHangs), 3.5 + 0.648, 5.5 + 0.648);
        about(total(&failover, Failure::HostDies), 2.648, 3.648);
        about(total(&failover, Failure::GracefulStop), 0.648, 0.648);
    }

    #[test]
    fn a_check_that_outlasts_its_interval_is_noticed_twice_as_late() {
        let failover = predicted(|text| {
            text.replace(
                "virtual_router_id: 26",
                "virtual_router_id: 26, health_check: {interval: 2, timeout: 3}",
            )
        });
        about(total(&failover, Failure::ApiHangs), 4.0 + 2.5 + 0.648, 6.0 + 2.5 + 0.648);
    }

    #[test]
    fn a_single_control_plane_has_nobody_to_take_over() {
        let failover = predicted(|text| {
            text.lines()
                .filter(|line| !line.contains("lenovo2") && !line.contains("lenovo3"))
                .collect::<Vec<_>>()
                .join("\n")
        });
        assert!(failover.predictions.is_empty());
    }

    #[test]
    fn in_ipv6_the_skew_grows_with_the_advert_interval() {
        let failover = predicted(|text| {
            text.replace("192.168.26.253", "fd00:26::253")
                .replace("192.168.26.0/24", "fd00:26::/64")
                .replace("address: 192.168.26.", "address: fd00:26::")
                .replace("virtual_router_id: 26", "virtual_router_id: 26, advert_int: 2")
        });
        about(total(&failover, Failure::GracefulStop), 2.0 * 0.648, 2.0 * 0.648);
    }
}
