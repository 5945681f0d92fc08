//! The inventory as written: every field typed and placed, nothing yet compared with anything else.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::catalogue::ArtifactPath;
use crate::document::{At, Fields, Item};
use crate::ids::{
    AddressRange, BaseUrl, ComponentName, DevicePath, DnsName, HostName, ImageReference, Interface, Invalid,
    K3sVersion, KernelArgument, LabelKey, LabelValue, MacAddr, MachineUuid, NodePath, PartitionLabel,
    Priority, Serial, SshPublicKey, VirtualRouterId,
};

use super::model::{Arch, DiskFormat, InstallAs, Phase, RunOn, SecretReference, Transport};

#[derive(Debug, Default)]
pub struct Inventory {
    pub vips: Vips,
    pub router: Option<At<BaseUrl>>,
    pub network: Network,
    pub ssh_authorized_keys: Vec<At<SshPublicKey>>,
    pub keepalived: Keepalived,
    pub k3s: K3s,
    pub fcos: Fcos,
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
pub struct Network {
    pub cidrs: Vec<At<IpNet>>,
    pub domain: Option<At<DnsName>>,
    pub control_planes_name: Option<At<DnsName>>,
    pub dhcp_range: Option<At<AddressRange>>,
}

#[derive(Debug, Default)]
pub struct Keepalived {
    pub virtual_router_id: Option<At<VirtualRouterId>>,
    pub other_virtual_router_ids: Vec<At<VirtualRouterId>>,
    pub advert_int: Option<At<u32>>,
    pub preempt_delay: Option<At<u32>>,
    pub auth_pass: Option<At<SecretReference>>,
    pub auth_hmac: Option<At<SecretReference>>,
    pub transport: Option<At<Transport>>,
    pub image: Option<At<ImageReference>>,
    pub image_has_curl: Option<At<bool>>,
    pub install: Option<At<InstallAs>>,
    pub run_on: Option<At<RunOn>>,
    pub interval: Option<At<u32>>,
    pub timeout: Option<At<u32>>,
    pub fall: Option<At<u32>>,
    pub rise: Option<At<u32>>,
}

#[derive(Debug, Default)]
pub struct K3s {
    pub version: Option<At<K3sVersion>>,
    pub token: Option<At<SecretReference>>,
    pub tls_san: Vec<At<TlsSan>>,
    pub disable: Vec<At<ComponentName>>,
    pub cluster_cidr: Option<At<IpNet>>,
    pub service_cidr: Option<At<IpNet>>,
    pub extra_config: Vec<(At<String>, serde_json::Value)>,
    pub bootstrap_host: Option<At<HostName>>,
    pub phase: Option<At<Phase>>,
}

/// A name or an address for the certificate beyond those the inventory already knows.
#[derive(Debug, Clone)]
pub struct TlsSan(pub String);

impl std::str::FromStr for TlsSan {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(TlsSan(address.to_string())),
            Err(_) => text.parse::<DnsName>().map(|name| TlsSan(name.to_string())),
        }
    }
}

#[derive(Debug, Default)]
pub struct Fcos {
    pub kernel: Option<At<ArtifactPath>>,
    pub initramfs: Option<At<ArtifactPath>>,
    pub rootfs: Option<At<ArtifactPath>>,
    pub metal_image: Option<At<ArtifactPath>>,
}

/// What `defaults`, a group and a host may all say.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pub interface: Option<At<Interface>>,
    pub role: Option<At<RoleWord>>,
    pub install_device: Option<At<DevicePath>>,
    pub arch: Option<At<Arch>>,
    pub labels: BTreeMap<LabelKey, LabelValue>,
    pub kernel_arguments: Option<Vec<At<KernelArgument>>>,
    pub disks: Option<Vec<Disk>>,
    pub vars: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleWord {
    ControlPlane,
    Worker,
}

#[derive(Debug, Clone)]
pub struct Disk {
    pub device: At<DevicePath>,
    pub label: Option<At<PartitionLabel>>,
    pub path: At<NodePath>,
    pub format: DiskFormat,
}

#[derive(Debug)]
pub struct Host {
    pub name: At<HostName>,
    pub addresses: Vec<At<IpAddr>>,
    pub macs: Vec<At<MacAddr>>,
    pub uuid: Option<At<MachineUuid>>,
    pub serial: Option<At<Serial>>,
    pub priority: Option<At<Priority>>,
    pub groups: Vec<At<String>>,
    pub settings: Settings,
}

impl Settings {
    /// These settings, and what they leave open from `lower`; labels and vars are joined key by key.
    pub fn over(mut self, lower: &Settings) -> Settings {
        self.interface = self.interface.or_else(|| lower.interface.clone());
        self.role = self.role.or_else(|| lower.role.clone());
        self.install_device = self.install_device.or_else(|| lower.install_device.clone());
        self.arch = self.arch.or_else(|| lower.arch.clone());
        self.kernel_arguments = self.kernel_arguments.or_else(|| lower.kernel_arguments.clone());
        self.disks = self.disks.or_else(|| lower.disks.clone());
        for (key, value) in &lower.labels {
            self.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (key, value) in &lower.vars {
            if !self.vars.contains_key(key) {
                self.vars.insert(key.clone(), value.clone());
            }
        }
        self
    }
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
        fields.require("k3s", "add `k3s: {version: v1.32.5+k3s1, token: {file: secrets/k3s-token}}`")
    {
        inventory.k3s = read_k3s(&item);
    }
    if let Some(item) = fields.get("fcos") {
        inventory.fcos = read_fcos(&item);
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

fn read_router(item: &Item<'_>) -> Option<At<BaseUrl>> {
    let mut fields = Fields::of(item)?;
    let base_url =
        fields.require("base_url", "write where nodes reach the router, such as http://192.168.26.1");
    fields.finish();
    base_url?.parse()
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

/// VRRPv3 has 12 bits for hundredths of a second (RFC 5798 §5.2.7): 40.95 s.
const MAX_ADVERT_SECONDS: u32 = 40;

fn read_keepalived(item: &Item<'_>) -> Keepalived {
    let Some(mut fields) = Fields::of(item) else { return Keepalived::default() };
    let id = fields
        .require("virtual_router_id", "choose 1 to 255, one that no other VRRP group on this network uses");
    let mut keepalived = Keepalived {
        virtual_router_id: id.and_then(|item| router_id(&item)),
        other_virtual_router_ids: fields
            .get("other_virtual_router_ids")
            .map(|item| one_or_many(&item, router_id))
            .unwrap_or_default(),
        preempt_delay: fields.get("preempt_delay").and_then(|item| item.number(0, 1000, " seconds")),
        image_has_curl: fields.get("image_has_curl").and_then(|item| Some(item.at(item.truth()?))),
        advert_int: fields.get("advert_int").and_then(|item| item.number(1, MAX_ADVERT_SECONDS, " seconds")),
        auth_pass: fields.get("auth_pass").and_then(|item| read_secret(&item)),
        auth_hmac: fields.get("auth_hmac").and_then(|item| read_secret(&item)),
        transport: fields.get("transport").and_then(|item| {
            item.choice(&[("multicast", Transport::Multicast), ("unicast", Transport::Unicast)])
        }),
        image: fields.parse("image"),
        install: fields.get("install").and_then(|item| {
            item.choice(&[("service", InstallAs::Service), ("quadlet", InstallAs::Quadlet)])
        }),
        ..Keepalived::default()
    };
    if let Some(mut check) = fields.get("health_check").and_then(|item| Fields::of(&item)) {
        keepalived.run_on = check
            .get("run_on")
            .and_then(|item| item.choice(&[("container", RunOn::Container), ("host", RunOn::Host)]));
        keepalived.interval = check.get("interval").and_then(|item| item.number(1, 60, " seconds"));
        keepalived.timeout = check.get("timeout").and_then(|item| item.number(1, 60, " seconds"));
        keepalived.fall = check.get("fall").and_then(|item| item.number(1, 60, " failures in a row"));
        keepalived.rise = check.get("rise").and_then(|item| item.number(1, 60, " successes in a row"));
        check.finish();
    }
    fields.finish();
    keepalived
}

fn read_k3s(item: &Item<'_>) -> K3s {
    let Some(mut fields) = Fields::of(item) else { return K3s::default() };
    let version = fields.require("version", "write the release every node gets, such as v1.32.5+k3s1");
    let token =
        fields.require("token", "add `token: {file: secrets/k3s-token}`, made with `openssl rand -hex 32`");
    let k3s = K3s {
        version: version.and_then(|item| item.parse()),
        token: token.and_then(|item| read_secret(&item)),
        tls_san: fields.get("tls_san").and_then(|item| item.list_of()).unwrap_or_default(),
        disable: fields.get("disable").and_then(|item| item.list_of()).unwrap_or_default(),
        cluster_cidr: fields.get("cluster_cidr").and_then(|item| network_address(&item)),
        service_cidr: fields.get("service_cidr").and_then(|item| network_address(&item)),
        extra_config: fields.get("extra_config").map(|item| read_extra_config(&item)).unwrap_or_default(),
        bootstrap_host: fields.parse("bootstrap_host"),
        phase: fields.get("phase").and_then(|item| {
            item.choice(&[("bootstrap", Phase::Bootstrap), ("reinstall", Phase::Reinstall)])
        }),
    };
    fields.finish();
    k3s
}

/// Keys of k3s' config.yaml whose value is a secret.
const SECRET_K3S_KEYS: &[&str] = &[
    "agent-token",
    "datastore-endpoint",
    "etcd-s3-access-key",
    "etcd-s3-secret-key",
    "etcd-s3-session-token",
    "vpn-auth",
];

fn read_extra_config(item: &Item<'_>) -> Vec<(At<String>, serde_json::Value)> {
    let entries = item.entries().unwrap_or_default();
    for (key, value) in &entries {
        if SECRET_K3S_KEYS.contains(&key.value.trim_end_matches('+')) {
            value.redact();
            let help = "k3s' configuration is served to everybody: write this key into a file of its own in /etc/rancher/k3s/config.yaml.d on the nodes";
            item.push(key.error("a secret would stand in a public file").help(help));
        }
    }
    entries
        .into_iter()
        .map(|(key, value)| {
            (At { value: key.value.to_owned(), path: key.path, place: key.place }, value.json())
        })
        .collect()
}

fn read_fcos(item: &Item<'_>) -> Fcos {
    let Some(mut fields) = Fields::of(item) else { return Fcos::default() };
    let mut path = |name| {
        fields.get(name).and_then(|item| item.parse_as("a path below base_url", "pxe/fcos/rootfs.img"))
    };
    let fcos = Fcos {
        kernel: path("kernel"),
        initramfs: path("initramfs"),
        rootfs: path("rootfs"),
        metal_image: path("metal_image"),
    };
    fields.finish();
    fcos
}

fn read_shared_settings(item: &Item<'_>) -> Option<Settings> {
    let mut fields = Fields::of(item)?;
    let settings = read_settings(&mut fields);
    fields.finish();
    Some(settings)
}

fn read_settings(fields: &mut Fields<'_>) -> Settings {
    Settings {
        interface: fields.parse("interface"),
        role: fields.get("role").and_then(|item| {
            item.choice(&[("control_plane", RoleWord::ControlPlane), ("worker", RoleWord::Worker)])
        }),
        install_device: fields.parse("install_device"),
        arch: fields
            .get("arch")
            .and_then(|item| item.choice(&[("x86_64", Arch::X86_64), ("aarch64", Arch::Aarch64)])),
        labels: fields.get("labels").map(|item| read_labels(&item)).unwrap_or_default(),
        kernel_arguments: fields.get("kernel_arguments").and_then(|item| item.list_of()),
        disks: fields.get("disks").and_then(|item| Some(item.list()?.iter().filter_map(read_disk).collect())),
        vars: fields.get("vars").and_then(|item| item.json_map()).unwrap_or_default(),
    }
}

fn read_labels(item: &Item<'_>) -> BTreeMap<LabelKey, LabelValue> {
    let mut labels = BTreeMap::new();
    for (key, item) in item.entries().unwrap_or_default() {
        let name = item.accept(key.value.parse::<LabelKey>());
        if let (Some(name), Some(value)) = (name, item.parse::<LabelValue>()) {
            labels.insert(name.value, value.value);
        }
    }
    labels
}

fn read_disk(item: &Item<'_>) -> Option<Disk> {
    let mut fields = Fields::of(item)?;
    let device =
        fields.require("device", "name the whole disk, such as /dev/sda").and_then(|item| item.parse());
    let path = fields
        .require("path", "say where it is mounted, such as /var/lib/longhorn")
        .and_then(|item| item.parse());
    let label = fields.parse("label");
    let formats = [("xfs", DiskFormat::Xfs), ("ext4", DiskFormat::Ext4), ("btrfs", DiskFormat::Btrfs)];
    let format = fields.get("format").map(|item| item.choice(&formats));
    fields.finish();
    let format = format.map_or(Some(DiskFormat::Xfs), |chosen| Some(chosen?.value))?;
    Some(Disk { device: device?, label, path: path?, format })
}

fn read_host(name: &At<&str>, item: &Item<'_>) -> Option<Host> {
    let host_name = match name.value.parse::<HostName>() {
        Ok(host_name) => Some(At { value: host_name, path: name.path.clone(), place: name.place.clone() }),
        Err(Invalid { message, help }) => {
            item.push(name.error(message).help(help));
            None
        }
    };
    let mut fields = Fields::of(item)?;
    let address_item =
        fields.require("address", "give the node's fixed address, or a list with one of each family");
    let mac_item = fields.require("mac", "give the MAC address it boots by, or a list of them");
    let addresses = address_item.map(|item| one_or_many(&item, address)).unwrap_or_default();
    let macs = mac_item.map(|item| one_or_many(&item, Item::parse)).unwrap_or_default();
    let uuid = fields.parse("uuid");
    let serial = fields.parse("serial");
    let priority = fields.get("priority").and_then(|item| item.accept(Priority::new(item.integer()?)));
    let groups = fields.get("groups").map(|item| read_group_names(&item)).unwrap_or_default();
    let settings = read_settings(&mut fields);
    fields.finish();
    Some(Host { name: host_name?, addresses, macs, uuid, serial, priority, groups, settings })
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

fn read_group_names(item: &Item<'_>) -> Vec<At<String>> {
    item.list().unwrap_or_default().iter().filter_map(|item| Some(item.at(item.text()?.to_owned()))).collect()
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

fn router_id(item: &Item<'_>) -> Option<At<VirtualRouterId>> {
    item.accept(VirtualRouterId::new(item.integer()?))
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
