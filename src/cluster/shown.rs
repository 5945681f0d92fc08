//! The certificates that the servers and the VIP show, against what the inventory demands, and who holds the VIP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::Serialize;

use crate::ids::{HostName, MacAddr};
use crate::inventory::{Host, Inventory};
use crate::report::Severity;

use super::certificate::{Certificate, San, UnixSeconds};
use super::choice::Via;
use super::failure::Failure;
use super::kubeconfig::SOON_DAYS;
use super::verdict::Verdict;

/// An address at which the API is expected, and the certificate that it showed.
#[derive(Debug, Clone)]
pub struct Shown {
    pub via: Via,
    pub address: IpAddr,
    pub certificate: Result<Certificate, Failure>,
}

/// Every address to look at: the VIPs, then those of the servers in the inventory's order.
pub fn addresses(inventory: &Inventory) -> Vec<(Via, IpAddr)> {
    let vips = inventory.vips.control_planes.iter().map(|vip| (Via::Vip, *vip));
    let servers = inventory.control_planes();
    let servers = servers
        .flat_map(|host| host.addresses.iter().map(|address| (Via::Server(host.name.clone()), *address)));
    vips.chain(servers).collect()
}

/// `lenovo1 (192.168.26.5)`
pub fn subject(via: &Via, address: IpAddr) -> String {
    match via {
        Via::Vip => format!("VIP {address}"),
        Via::Server(name) => format!("{name} ({address})"),
    }
}

/// How a certificate differs from what is demanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub missing: Vec<San>,
    pub extra: Vec<San>,
    pub days_left: i64,
}

pub fn difference(inventory: &Inventory, certificate: &Certificate, now: UnixSeconds) -> Difference {
    let names = inventory.tls_san();
    let demanded: Vec<San> = names.iter().map(|name| San::of(name)).collect();
    let extra = certificate.sans.iter().filter(|san| !demanded.contains(san) && !is_k3s_own(san, inventory));
    Difference {
        missing: certificate.lacks(&names),
        extra: extra.cloned().collect(),
        days_left: (certificate.not_after - now).div_euclid(86_400),
    }
}

/// What k3s puts into every server's certificate by itself: the service's names and address, and the loopback.
fn is_k3s_own(san: &San, inventory: &Inventory) -> bool {
    match san {
        San::Name(name) => {
            let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
            service.contains(&name.as_str()) || name.starts_with("kubernetes.default.svc.")
        }
        San::Address(address) => {
            let usual = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(10, 43, 0, 0), 16).into();
            let services: IpNet = inventory.k3s.service_cidr.unwrap_or(usual);
            *address == IpAddr::from(Ipv4Addr::LOCALHOST)
                || *address == IpAddr::from(Ipv6Addr::LOCALHOST)
                || services.hosts().next() == Some(*address)
        }
    }
}

/// What to say about one address.
pub fn verdicts(inventory: &Inventory, shown: &Shown, now: UnixSeconds) -> Vec<Verdict> {
    let subject = subject(&shown.via, shown.address);
    let certificate = match &shown.certificate {
        Ok(certificate) => certificate,
        Err(failure) => {
            let message = format!("shows no certificate: {failure}");
            return vec![Verdict::wrong(Severity::Error, "tls-san", subject, message, failure.remedy())];
        }
    };
    let Difference { missing, extra, days_left } = difference(inventory, certificate, now);
    let mut found = Vec::new();
    let mut say = |severity, check, message: String, help: &str| {
        found.push(Verdict::wrong(severity, check, &subject, message, help));
    };
    if !missing.is_empty() {
        let message = format!("its certificate lacks {}", listed(&missing));
        say(Severity::Error, "tls-san", message, "`pxe-serve tls-san apply` adds it, one server at a time");
    }
    if !extra.is_empty() {
        let message = format!("its certificate also has {}", listed(&extra));
        let help = "if it is wanted, add it to k3s.tls_san. k3s takes no name away by itself: `kubectl -n kube-system delete secret k3s-serving`, then on each server in turn remove /var/lib/rancher/k3s/server/tls/dynamic-cert.json and restart k3s";
        say(Severity::Warning, "tls-san", message, help);
    }
    // dynamiclistener renews it at run time, looking every six hours (WrapExpiration), so a restart is no remedy.
    let help = "k3s renews this certificate while it runs: look at the server's clock, and whether the secret k3s-serving in kube-system has the annotation listener.cattle.io/static=true, which keeps it from that";
    if days_left < 0 {
        say(Severity::Error, "expiry", "its certificate has expired".into(), help);
    } else if days_left < SOON_DAYS {
        say(Severity::Warning, "expiry", format!("its certificate expires in {days_left} days"), help);
    }
    if certificate.not_before > now {
        let help = "compare the clocks of this machine and of the node";
        say(Severity::Error, "expiry", "its certificate is not valid yet".into(), help);
    }
    if found.is_empty() {
        let message = format!("shows all {} names, for {days_left} days", inventory.tls_san().len());
        found.push(Verdict::fine("tls-san", subject, message));
    }
    found
}

/// For people.
pub fn listed(sans: &[San]) -> String {
    sans.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What is known about who holds a VIP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "known_by", rename_all = "snake_case")]
pub enum Holder {
    /// The MAC that answers for it on this network is this host's.
    Mac {
        host: HostName,
    },
    /// The MAC that answers is nobody's in the inventory.
    Stranger {
        mac: String,
    },
    /// Of all servers only this one shows the VIP's certificate.
    Certificate {
        host: HostName,
    },
    /// It shows a certificate that no server shows.
    NoServer,
    Unknown {
        why: &'static str,
    },
}

/// `neighbours` is the kernel's table of who answered by ARP, as `/proc/net/arp` has it.
pub fn holder(inventory: &Inventory, vip: IpAddr, shown: &[Shown], neighbours: &str) -> Holder {
    if let Some(mac) = neighbour(neighbours, vip) {
        return match inventory.hosts.iter().find(|host| host.macs.contains(&mac)) {
            Some(Host { name, .. }) => Holder::Mac { host: name.clone() },
            None => Holder::Stranger { mac: mac.to_string() },
        };
    }
    let certificate =
        |shown: &Shown| shown.certificate.as_ref().ok().map(|certificate| certificate.sha256.clone());
    let at_vip =
        shown.iter().find(|shown| shown.via == Via::Vip && shown.address == vip).and_then(certificate);
    let Some(at_vip) = at_vip else { return Holder::Unknown { why: "it shows no certificate" } };
    let mut same: Vec<&HostName> = Vec::new();
    let (mut others, mut silent) = (0, 0);
    for shown in shown {
        let Via::Server(name) = &shown.via else { continue };
        match certificate(shown) {
            Some(own) if own == at_vip && !same.contains(&name) => same.push(name),
            Some(own) if own != at_vip => others += 1,
            None => silent += 1,
            Some(_) => {}
        }
    }
    match (same.as_slice(), others, silent) {
        ([only], _, 0) => Holder::Certificate { host: (*only).clone() },
        ([], 1.., 0) => Holder::NoServer,
        // k3s' servers share one certificate, by the secret kube-system/k3s-serving.
        ([_, _, ..], ..) => Holder::Unknown {
            why: "servers share one certificate, and this machine is not on their network, where ARP would say it",
        },
        _ => Holder::Unknown { why: "not every server shows its certificate" },
    }
}

/// The MAC in a line such as `192.168.26.253  0x1  0x2  52:54:00:12:34:56  *  eth0`; flags without 0x2 are no answer.
fn neighbour(table: &str, address: IpAddr) -> Option<MacAddr> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [ip, _, flags, mac, ..] = words.as_slice() else { return None };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
        (ip.parse() == Ok(address) && flags & 2 != 0).then(|| mac.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_counts_only_when_it_has_answered() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     192.168.26.253   0x1         0x2         52:54:00:12:34:57     *        eth0\n\
                     192.168.26.254   0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let mac = |address: &str| neighbour(table, address.parse().unwrap()).map(|mac| mac.to_string());
        assert_eq!(mac("192.168.26.253").as_deref(), Some("52:54:00:12:34:57"));
        assert_eq!(mac("192.168.26.254"), None);
        assert_eq!(mac("192.168.26.25"), None);
        assert_eq!(neighbour("", "192.168.26.253".parse().unwrap()), None);
    }
}
