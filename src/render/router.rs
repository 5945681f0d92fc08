//! What the router is told: who gets which address, name and boot file, and which zones may talk to each other.

use std::net::IpAddr;

use ipnet::IpNet;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::catalogue::{ArtifactPath, Audience};
use crate::inventory::{Arch, Host, Inventory, Network};

use super::Kitchen;
use super::context::Contexts;
use super::templates::Compiled;

const FILES: [(&str, &str); 3] = [
    ("router/dnsmasq.conf.j2", "pxe/router/dnsmasq.conf"),
    ("router/dhcp.uci.j2", "pxe/router/dhcp.uci"),
    ("router/firewall.uci.j2", "pxe/router/firewall.uci"),
];

pub fn render_router(kitchen: &mut Kitchen<'_>, compiled: &Compiled<'_>, contexts: &Contexts<'_>) {
    let inventory = &kitchen.site.inventory;
    let context = context! { ..context(inventory), ..contexts.site().clone() };
    for (template, path) in FILES {
        kitchen.render(compiled, template, path, &context, Audience::Everyone);
    }
}

fn context(inventory: &Inventory) -> Value {
    let router = &inventory.router;
    context! {
        router => context! {
            network => router.network.as_str(),
            tftp_root => router.tftp_root.as_ref().map(|root| root.as_str()),
            forwarding => router.forwarding.iter().map(|forwarding| context! {
                from => forwarding.from.as_str(),
                to => forwarding.to.as_str(),
            }).collect::<Vec<_>>(),
        },
        ranges => inventory.network.cidrs.iter().map(|cidr| range(&inventory.network, *cidr)).collect::<Vec<_>>(),
        pool => Value::from(Serde(inventory.network.cidrs.iter().find_map(|cidr| pool(&inventory.network, *cidr)))),
        leases => Value::from(Serde(inventory.hosts.iter().map(lease).collect::<Vec<_>>())),
        names => Value::from(Serde(names(inventory))),
        clients => Value::from(Serde(clients(inventory))),
        has_ipv6 => inventory.network.cidrs.iter().any(|cidr| cidr.addr().is_ipv6()),
        boot_script => format!("{}/pxe/boot.ipxe", inventory.router.base_url),
    }
}

/// The value of dnsmasq's `dhcp-range` for a network: what is handed out, or nothing but the leases of the hosts.
fn range(network: &Network, cidr: IpNet) -> String {
    let prefix = match cidr {
        IpNet::V4(cidr) => cidr.netmask().to_string(),
        // dnsmasq(8): 64 is the least that it takes.
        IpNet::V6(cidr) => cidr.prefix_len().max(64).to_string(),
    };
    match network.dhcp_range.filter(|range| cidr.contains(&range.first())) {
        Some(range) => format!("{},{},{prefix}", range.first(), range.last()),
        None => format!("{},static,{prefix}", cidr.network()),
    }
}

/// The same as OpenWRT counts: from the network's own address.
#[derive(Serialize)]
struct Pool {
    start: u32,
    limit: u32,
}

fn pool(network: &Network, cidr: IpNet) -> Option<Pool> {
    let range = network.dhcp_range?;
    match (range.first(), range.last(), cidr) {
        (IpAddr::V4(first), IpAddr::V4(last), IpNet::V4(cidr)) if cidr.contains(&first) => Some(Pool {
            start: u32::from(first) - u32::from(cidr.network()),
            limit: u32::from(last) - u32::from(first) + 1,
        }),
        _ => None,
    }
}

/// One address for all cards of a host: the one that asks last has it.
#[derive(Serialize)]
struct Lease<'i> {
    name: &'i str,
    macs: Vec<String>,
    ipv4: Option<String>,
    ipv6: Option<String>,
    /// What OpenWRT puts behind the network's own 64 bits.
    ipv6_suffix: Option<String>,
}

fn lease(host: &Host) -> Lease<'_> {
    let ipv6 = host.addresses.iter().find_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    });
    Lease {
        name: host.name.as_str(),
        macs: host.macs.iter().map(|mac| mac.to_string()).collect(),
        ipv4: host.addresses.iter().find(|address| address.is_ipv4()).map(|address| address.to_string()),
        ipv6: ipv6.map(|address| address.to_string()),
        ipv6_suffix: ipv6.map(|address| format!("{:x}", u128::from(address) & u128::from(u64::MAX))),
    }
}

/// The DNS names of one address; the first is what the address is called in turn.
#[derive(Serialize)]
struct Names {
    names: Vec<String>,
    address: String,
}

fn names(inventory: &Inventory) -> Vec<Names> {
    let network = &inventory.network;
    let both = |name: &str| {
        let domain = network.domain.iter();
        domain.map(|domain| format!("{name}.{domain}")).chain([name.to_owned()]).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    let mut add = |names: &[String], addresses: &[IpAddr]| {
        all.extend(
            addresses.iter().map(|address| Names { names: names.to_vec(), address: address.to_string() }),
        );
    };
    for host in &inventory.hosts {
        add(&both(host.name.as_str()), &host.addresses);
    }
    if let Some(name) = &network.control_planes_name {
        add(&[name.to_string()], &inventory.vips.control_planes);
    }
    if inventory.host("router").is_none() {
        add(&both("router"), inventory.router.base_url.address().as_slice());
    }
    all
}

/// Machines of one firmware, and what they are told to load.
#[derive(Serialize)]
struct Client {
    tag: &'static str,
    /// DHCP option 93 (RFC 4578, and IANA's "Processor Architecture Types" for later ones).
    architectures: &'static [u16],
    boot_file: String,
    /// UEFI HTTP Boot takes an offer only from a server that calls itself HTTPClient.
    is_http: bool,
}

/// Only for the architectures of this inventory: others' boot files need not be there.
fn clients(inventory: &Inventory) -> Vec<Client> {
    let mut clients = Vec::new();
    for arch in architectures(inventory) {
        if arch == Arch::X86_64 {
            let boot_file = "undionly.kpxe".to_owned();
            clients.push(Client { tag: "pxe_serve_bios", architectures: &[0], boot_file, is_http: false });
        }
        // 7 stands for EFI byte code in RFC 4578, and is what x86-64 firmware sends.
        let (tftp, http): ((_, &'static [u16]), (_, &'static [u16])) = match arch {
            Arch::X86_64 => (("pxe_serve_x86_64", &[7, 9]), ("pxe_serve_http_x86_64", &[16])),
            Arch::Aarch64 => (("pxe_serve_aarch64", &[11]), ("pxe_serve_http_aarch64", &[19])),
        };
        let file = efi_boot_file(arch);
        clients.push(Client {
            tag: tftp.0,
            architectures: tftp.1,
            boot_file: file.to_owned(),
            is_http: false,
        });
        let url = format!("{}/{TFTP_FOLDER}/{file}", inventory.router.base_url);
        clients.push(Client { tag: http.0, architectures: http.1, boot_file: url, is_http: true });
    }
    clients
}

fn architectures(inventory: &Inventory) -> std::collections::BTreeSet<Arch> {
    inventory.hosts.iter().map(|host| host.arch).collect()
}

/// The TFTP server's folder, as the static files have it.
const TFTP_FOLDER: &str = "pxe/tftp";

fn efi_boot_file(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "ipxe.efi",
        Arch::Aarch64 => "ipxe-arm64.efi",
    }
}

/// What UEFI HTTP Boot fetches from the static files.
pub fn http_boot_files(inventory: &Inventory) -> impl Iterator<Item = ArtifactPath> {
    architectures(inventory)
        .into_iter()
        .filter_map(|arch| format!("{TFTP_FOLDER}/{}", efi_boot_file(arch)).parse().ok())
}
