//! Rules about addresses: VIPs, hosts and ranges on the nodes' networks.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::document::At;
use crate::inventory::raw;

use super::Checker;

pub fn check(raw: &raw::Inventory, checker: &Checker<'_>) {
    check_vips(raw, checker);
    for host in &raw.hosts {
        for address in &host.addresses {
            inside(address, raw, "every node needs an address of its network", checker);
        }
        if let [first, second, ..] = host.addresses.as_slice()
            && (host.addresses.len() > 2 || first.value.is_ipv4() == second.value.is_ipv4())
        {
            let help = "k3s and keepalived use one IPv4 and one IPv6 address of a node";
            checker.push(second.error("a host has at most one address of each family").help(help));
        }
    }
    check_cluster_networks(raw, checker);
    if let Some(range) = &raw.network.dhcp_range
        && let Some(cidrs) = cidrs_like(raw, range.value.first())
        && !cidrs.iter().any(|cidr| cidr.contains(&range.value.first()) && cidr.contains(&range.value.last()))
    {
        let finding = range.error(format!("{} is not inside {}", range.value, listed(&cidrs)));
        checker.push(finding.help("DHCP serves the nodes' network"));
    }
}

fn check_cluster_networks(raw: &raw::Inventory, checker: &Checker<'_>) {
    for (inner, name) in [(&raw.k3s.cluster_cidr, "pods"), (&raw.k3s.service_cidr, "services")] {
        let Some(inner) = inner else { continue };
        for cidr in &raw.network.cidrs {
            if inner.value.contains(&cidr.value) || cidr.value.contains(&inner.value) {
                let message = format!("the network of the {name} overlaps the nodes' {}", cidr.value);
                let help = "nodes would answer for addresses of the cluster; k3s' own are 10.42.0.0/16 and 10.43.0.0/16";
                checker.push(inner.error(message).help(help));
            }
        }
    }
}

fn check_vips(raw: &raw::Inventory, checker: &Checker<'_>) {
    let mut seen: BTreeMap<IpAddr, &At<IpAddr>> = BTreeMap::new();
    for vip in raw.vips.control_planes.iter().chain(&raw.vips.workers) {
        inside(vip, raw, "a VIP is answered by ARP on the nodes' own network", checker);
        let error = |message: String, help: &str| checker.push(vip.error(message).help(help));
        if let Some(range) = raw.network.dhcp_range.as_ref().filter(|range| range.value.contains(vip.value)) {
            let message = format!("{} is inside the DHCP range {}", vip.value, range.value);
            error(message, "DHCP would lease it to some machine; choose an address outside of the range");
        }
        for host in &raw.hosts {
            if let Some(address) = host.addresses.iter().find(|address| address.value == vip.value) {
                let line = address.place.line;
                let message = format!("{} is the address of {} (line {line})", vip.value, host.name.value);
                error(message, "a VIP moves between nodes; give it an address that nobody has");
            }
        }
        if raw.router.base_url.as_ref().and_then(|url| url.value.address()) == Some(vip.value) {
            let message = format!("{} is the router's address", vip.value);
            error(message, "give the VIP an address that nobody has");
        }
        if let Some(other) = seen.insert(vip.value, vip) {
            let message = format!("{} is {} as well (line {})", vip.value, other.path, other.place.line);
            error(message, "two programs would answer for it, keepalived and MetalLB; use two addresses");
        }
    }
}

/// That an address is in one of the nodes' networks of its family, and not at the edge of it.
fn inside(address: &At<IpAddr>, raw: &raw::Inventory, why: &str, checker: &Checker<'_>) {
    let Some(cidrs) = cidrs_like(raw, address.value) else { return };
    match cidrs.iter().find(|cidr| cidr.contains(&address.value)) {
        None => {
            let line = raw.network.cidrs.first().map_or(0, |cidr| cidr.place.line);
            let message = format!("{} is not inside {} (line {line})", address.value, listed(&cidrs));
            checker.push(address.error(message).help(why));
        }
        Some(IpNet::V4(net))
            if net.prefix_len() < 31
                && (address.value == IpAddr::V4(net.network())
                    || address.value == IpAddr::V4(net.broadcast())) =>
        {
            let message = format!("{} is the network's own or broadcast address", address.value);
            checker.push(address.error(message).help("choose an address between them"));
        }
        Some(_) => {}
    }
}

/// The networks that an address may be in: those of its family, or all when there is none of it; `None` when no
/// network could be read, which has its own finding.
fn cidrs_like(raw: &raw::Inventory, address: IpAddr) -> Option<Vec<IpNet>> {
    let all: Vec<IpNet> = raw.network.cidrs.iter().map(|cidr| cidr.value).collect();
    let like: Vec<IpNet> =
        all.iter().copied().filter(|cidr| cidr.addr().is_ipv4() == address.is_ipv4()).collect();
    let chosen = if like.is_empty() { all } else { like };
    (!chosen.is_empty()).then_some(chosen)
}

fn listed(cidrs: &[IpNet]) -> String {
    cidrs.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" or ")
}
