//! Rules about addresses: VIPs, hosts and ranges on one network.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::document::At;
use crate::inventory::raw;

use super::Checker;

pub fn check(raw: &raw::Inventory, checker: &Checker<'_>) {
    check_vips(raw, checker);
    for host in &raw.hosts {
        let (Some(address), Some(cidr)) = (&host.address, &raw.network.cidr) else { continue };
        inside(address, cidr, "every node needs an address of its network", checker);
    }
    for (pods_or_services, name) in [(&raw.k3s.cluster_cidr, "pods"), (&raw.k3s.service_cidr, "services")] {
        if let (Some(inner), Some(cidr)) = (pods_or_services, &raw.network.cidr)
            && (inner.value.contains(&cidr.value) || cidr.value.contains(&inner.value))
        {
            let message = format!("the network of the {name} overlaps the nodes' {}", cidr.value);
            checker.push(inner.error(message).help("nodes would answer for addresses of the cluster; choose another, k3s' own default is 10.42.0.0/16 and 10.43.0.0/16"));
        }
    }
    if let (Some(range), Some(cidr)) = (&raw.network.dhcp_range, &raw.network.cidr)
        && !(cidr.value.contains(&range.value.first()) && cidr.value.contains(&range.value.last()))
    {
        checker.push(
            range
                .error(format!("{} is not inside {}", range.value, cidr.value))
                .help("DHCP serves the nodes' network"),
        );
    }
}

fn check_vips(raw: &raw::Inventory, checker: &Checker<'_>) {
    let vips = [&raw.vips.control_planes, &raw.vips.workers];
    for vip in vips.into_iter().flatten() {
        if let Some(cidr) = &raw.network.cidr {
            inside(vip, cidr, "a VIP is answered by ARP on the nodes' own network", checker);
        }
        if let Some(range) = raw.network.dhcp_range.as_ref().filter(|range| range.value.contains(vip.value)) {
            let message = format!("{} is inside the DHCP range {}", vip.value, range.value);
            checker.push(
                vip.error(message)
                    .help("DHCP would lease it to some machine; choose an address outside of the range"),
            );
        }
        for host in &raw.hosts {
            if host.address.as_ref().is_some_and(|address| address.value == vip.value) {
                let line = host.address.as_ref().map_or(0, |address| address.place.line);
                let message = format!("{} is the address of {} (line {line})", vip.value, host.name.value);
                checker.push(
                    vip.error(message).help("a VIP moves between nodes; give it an address that nobody has"),
                );
            }
        }
        if router_address(raw) == Some(vip.value) {
            checker.push(
                vip.error(format!("{} is the router's address", vip.value))
                    .help("give the VIP an address that nobody has"),
            );
        }
    }
    if let [Some(control_planes), Some(workers)] = vips
        && control_planes.value == workers.value
    {
        let message = format!(
            "{} is the VIP of the control planes as well (line {})",
            workers.value, control_planes.place.line
        );
        checker.push(
            workers.error(message).help("keepalived and MetalLB would both answer for it; use two addresses"),
        );
    }
}

fn inside(address: &At<IpAddr>, cidr: &At<IpNet>, why: &str, checker: &Checker<'_>) {
    let edge = match cidr.value {
        IpNet::V4(net) if net.prefix_len() < 31 => {
            address.value == IpAddr::V4(net.network()) || address.value == IpAddr::V4(net.broadcast())
        }
        _ => false,
    };
    if !cidr.value.contains(&address.value) {
        let message = format!("{} is not inside {} (line {})", address.value, cidr.value, cidr.place.line);
        checker.push(address.error(message).help(why));
    } else if edge {
        let message = format!("{} is the network's own or broadcast address", address.value);
        checker.push(address.error(message).help("choose an address between them"));
    }
}

fn router_address(raw: &raw::Inventory) -> Option<IpAddr> {
    let authority = raw.router.as_ref()?.value.as_str().strip_prefix("http://")?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    host.parse().ok()
}
