//! The inventory as written: every field typed and placed, nothing yet compared with anything else.

mod fcos;
mod hosts;
mod k3s;
mod keepalived;
mod updates;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::document::{At, Fields, Item};
use crate::ids::{AddressRange, BaseUrl, DnsName, NodePath, SshPublicKey, UciName};

use super::model::{Forwarding, SecretReference};

pub use fcos::{Fcos, Images};
pub use hosts::{Disk, Host, RoleWord, Settings};
pub use k3s::{Binary, K3s};
pub use keepalived::Keepalived;
pub use updates::Updates;

use fcos::read_fcos;
use hosts::{read_host, read_shared_settings};
use k3s::read_k3s;
use keepalived::read_keepalived;
use updates::read_updates;

#[derive(Debug, Default)]
pub struct Inventory {
    pub vips: Vips,
    pub router: Router,
    pub network: Network,
    pub ssh_authorized_keys: Vec<At<SshPublicKey>>,
    pub keepalived: Keepalived,
    pub k3s: K3s,
    pub fcos: Fcos,
    pub updates: Updates,
    pub defaults: Settings,
    pub groups: BTreeMap<String, Settings>,
    pub hosts: Vec<Host>,
}

#[derive(Debug, Default)]
pub struct Vips {
    pub control_planes: Vec<At<IpAddr>>,
    pub workers: Option<At<IpAddr>>,
}

#[derive(Debug, Default)]
pub struct Router {
    pub base_url: Option<At<BaseUrl>>,
    pub network: Option<At<UciName>>,
    pub tftp_root: Option<At<NodePath>>,
    pub forwarding: Vec<At<Forwarding>>,
}

#[derive(Debug, Default)]
pub struct Network {
    pub cidrs: Vec<At<IpNet>>,
    pub domain: Option<At<DnsName>>,
    pub control_planes_name: Option<At<DnsName>>,
    pub dhcp_range: Option<At<AddressRange>>,
}

/// Reads the whole document; what cannot be read is reported and left out.
pub fn read(root: &Item<'_>) -> Inventory {
    let Some(mut fields) = Fields::of(root) else { return Inventory::default() };
    let mut inventory = Inventory::default();
    if let Some(item) =
        fields.require("vips", "add `vips: {control_planes: ADDRESS}`: the address keepalived moves")
    {
        inventory.vips = read_vips(&item);
    }
    if let Some(item) =
        fields.require("router", "add `router: {base_url: http://ADDRESS}`: where nodes fetch their files")
    {
        inventory.router = read_router(&item);
    }
    if let Some(item) =
        fields.require("network", "add `network: {cidr: 192.168.26.0/24}`: the nodes' network")
    {
        inventory.network = read_network(&item);
    }
    let keys = "add `ssh_authorized_keys:` with your public key: without one nobody can log in to a node";
    if let Some(item) = fields.require("ssh_authorized_keys", keys) {
        inventory.ssh_authorized_keys = item.list_of().unwrap_or_default();
        if item.list().is_some_and(|list| list.is_empty()) {
            item.push(item.at(()).error("is empty").help(keys));
        }
    }
    if let Some(item) = fields.require("keepalived", "add `keepalived: {virtual_router_id: NUMBER}`") {
        inventory.keepalived = read_keepalived(&item);
    }
    if let Some(item) =
        fields.require("k3s", "add `k3s: {version: v1.37.0+k3s1, token: {file: secrets/k3s-token}}`")
    {
        inventory.k3s = read_k3s(&item);
    }
    if let Some(item) = fields.get("fcos") {
        inventory.fcos = read_fcos(&item);
    }
    if let Some(item) = fields.get("updates") {
        inventory.updates = read_updates(&item);
    }
    if let Some(item) = fields.get("defaults") {
        inventory.defaults = read_shared_settings(&item).unwrap_or_default();
    }
    for (name, item) in fields.get("groups").and_then(|item| item.entries()).unwrap_or_default() {
        if let Some(settings) = read_shared_settings(&item) {
            inventory.groups.insert(name.value.to_owned(), settings);
        }
    }
    if let Some(item) = fields.require("hosts", "add `hosts:` with an entry per machine") {
        inventory.hosts = item
            .entries()
            .unwrap_or_default()
            .iter()
            .filter_map(|(name, item)| read_host(name, item))
            .collect();
    }
    fields.finish();
    inventory
}

fn read_vips(item: &Item<'_>) -> Vips {
    let Some(mut fields) = Fields::of(item) else { return Vips::default() };
    let control_planes =
        fields.require("control_planes", "give the address of the API server that moves between servers");
    let vips = Vips {
        control_planes: control_planes.map(|item| one_or_many(&item, address)).unwrap_or_default(),
        workers: fields.get("workers").and_then(|item| address(&item)),
    };
    fields.finish();
    vips
}

fn read_router(item: &Item<'_>) -> Router {
    let Some(mut fields) = Fields::of(item) else { return Router::default() };
    let base_url =
        fields.require("base_url", "write where nodes reach the router, such as http://192.168.26.1");
    let forwarding = fields.get("forwarding").and_then(|item| item.list()).unwrap_or_default();
    let router = Router {
        base_url: base_url.and_then(|item| item.parse()),
        network: fields.parse("network"),
        tftp_root: fields.parse("tftp_root"),
        forwarding: forwarding.iter().filter_map(read_forwarding).collect(),
    };
    fields.finish();
    router
}

fn read_forwarding(item: &Item<'_>) -> Option<At<Forwarding>> {
    let mut fields = Fields::of(item)?;
    let from = fields.require("from", "name the firewall zone that asks, such as vpn");
    let to = fields.require("to", "name the firewall zone of the nodes, such as lab");
    fields.finish();
    Some(item.at(Forwarding { from: from?.parse()?.value, to: to?.parse()?.value }))
}

fn read_network(item: &Item<'_>) -> Network {
    let Some(mut fields) = Fields::of(item) else { return Network::default() };
    let network = Network {
        cidrs: fields
            .require(
                "cidr",
                "write the nodes' network, such as 192.168.26.0/24, or a list of an IPv4 and an IPv6 network",
            )
            .map(|item| one_or_many(&item, network_address))
            .unwrap_or_default(),
        domain: fields.parse("domain"),
        control_planes_name: fields.parse("control_planes_name"),
        dhcp_range: fields.parse("dhcp_range"),
    };
    fields.finish();
    network
}

/// A value, or a list of them where one may have several.
fn one_or_many<'d, T>(item: &Item<'d>, read: impl Fn(&Item<'d>) -> Option<At<T>>) -> Vec<At<T>> {
    match &item.node.value {
        crate::document::Value::List(nodes) => {
            if nodes.is_empty() {
                item.push(item.at(()).error("is empty").help("give at least one"));
            }
            item.list().unwrap_or_default().iter().filter_map(read).collect()
        }
        _ => read(item).into_iter().collect(),
    }
}

fn read_secret(item: &Item<'_>) -> Option<At<SecretReference>> {
    use crate::document::Value;
    let is_reference = |key: &str| ["file", "env"].contains(&key);
    match &item.node.value {
        Value::Map(entries) if entries.iter().all(|entry| is_reference(&entry.key)) => {}
        // Not a reference, so perhaps the secret itself: it must not be in a line that a finding draws.
        Value::Map(_) => item.redact(),
        _ => {
            item.redact();
            let help = "move it to a file and write `{file: secrets/NAME}`, or `{env: NAME}`; then change the secret";
            item.push(item.at(()).error("a secret stands in the inventory itself").help(help));
            return None;
        }
    }
    let mut fields = Fields::of(item)?;
    let file = fields.get("file");
    let env = fields.get("env");
    fields.finish();
    match (file, env) {
        (Some(file), None) => Some(item.at(SecretReference::File(PathBuf::from(file.text()?)))),
        (None, Some(env)) => Some(item.at(SecretReference::Env(env.text()?.to_owned()))),
        _ => {
            item.push(
                item.at(())
                    .error("a secret has one source")
                    .help("write either `{file: secrets/NAME}` or `{env: NAME}`"),
            );
            None
        }
    }
}

fn address(item: &Item<'_>) -> Option<At<IpAddr>> {
    item.parse_as("an IP address", "192.168.26.5")
}

fn network_address(item: &Item<'_>) -> Option<At<IpNet>> {
    let network: At<IpNet> = item.parse_as("a network", "192.168.26.0/24")?;
    if network.value.addr() != network.value.network() {
        let help = format!("write {}", network.value.trunc());
        item.push(network.error("has bits set behind its prefix").help(help));
        return None;
    }
    Some(network)
}
