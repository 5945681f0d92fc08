//! What keepalived's templates know: the VRRP instances of a host, and the health check.

use minijinja::{Value, context};
use serde::Serialize;

use crate::inventory::{Host, InstallAs, Inventory, Keepalived, RunOn, Transport};

/// One `vrrp_instance`. An instance speaks one family, so VIPs of both make two, which move together as a sync group.
#[derive(Debug, Serialize)]
pub struct Instance {
    name: &'static str,
    /// With their prefix: `192.168.26.253/32`.
    addresses: Vec<String>,
    authentication: bool,
    hmac: bool,
    /// Empty for multicast.
    unicast_source: Option<String>,
    unicast_peers: Vec<String>,
}

/// The instances of a control plane; none for a worker.
pub fn instances(inventory: &Inventory, host: &Host) -> Vec<Instance> {
    if !host.is_control_plane() {
        return Vec::new();
    }
    let families = [("VI_1", true), ("VI_6", false)];
    families.into_iter().filter_map(|(name, is_ipv4)| instance(inventory, host, name, is_ipv4)).collect()
}

fn instance(inventory: &Inventory, host: &Host, name: &'static str, is_ipv4: bool) -> Option<Instance> {
    let vips: Vec<_> = inventory.vips.control_planes.iter().filter(|vip| vip.is_ipv4() == is_ipv4).collect();
    let first = **vips.first()?;
    let unicast = inventory.keepalived.transport == Transport::Unicast;
    let peers = inventory.control_planes().filter(|peer| unicast && peer.name != host.name);
    let peers: Vec<String> = peers.filter_map(|peer| Some(peer.address_like(first)?.to_string())).collect();
    Some(Instance {
        name,
        addresses: vips.iter().map(|vip| format!("{vip}/{}", if is_ipv4 { 32 } else { 128 })).collect(),
        // VRRPv3, which IPv6 needs, has no authentication (RFC 5798 §9): keepalived -t exits 5.
        authentication: is_ipv4 && inventory.keepalived.auth_pass.is_some(),
        hmac: inventory.keepalived.auth_hmac.is_some(),
        // Without peers keepalived would fall back to multicast (before 2.2.4), so a single server says neither.
        unicast_source: host
            .address_like(first)
            .filter(|_| !peers.is_empty())
            .map(|address| address.to_string()),
        unicast_peers: peers,
    })
}

/// `archive`: the image's file on the router, or none.
pub fn context(keepalived: &Keepalived, archive: &Value) -> Value {
    context! {
        virtual_router_id => keepalived.virtual_router_id.to_string(),
        advert_int => keepalived.advert_int_seconds,
        preempt_delay => keepalived.preempt_delay_seconds,
        transport => match keepalived.transport { Transport::Multicast => "multicast", Transport::Unicast => "unicast" },
        image => local_image(archive).unwrap_or_else(|| keepalived.image.to_string()),
        archive => archive.clone(),
        install => match keepalived.install { InstallAs::Service => "service", InstallAs::Quadlet => "quadlet" },
        health_check => health_check(keepalived),
    }
}

/// What podman knows an image of an archive by: a name that no registry has, and another one for another archive.
fn local_image(archive: &Value) -> Option<String> {
    /// Enough of a digest to tell archives apart by.
    const DIGITS: usize = 16;
    let sha256 = archive.get_attr("sha256").ok()?;
    Some(format!("localhost/pxe-serve/keepalived:{}", sha256.as_str()?.get(..DIGITS)?))
}

fn health_check(keepalived: &Keepalived) -> Value {
    let check = &keepalived.health_check;
    context! {
        interval => check.interval_seconds,
        timeout => check.timeout_seconds,
        // Below keepalived's own timeout, so that the script ends by itself.
        limit => check.limit_seconds(),
        fall => check.fall,
        rise => check.rise,
        run_on => match check.run_on { RunOn::Container => "container", RunOn::Host => "host" },
    }
}
