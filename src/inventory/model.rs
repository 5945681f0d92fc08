//! The checked inventory: in these types nothing can be invalid, so nothing after them checks again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::catalogue::{ArtifactPath, Sha256};
use crate::document::At;
use crate::ids::{
    AddressRange, BaseUrl, ComponentName, DevicePath, DnsName, HostName, ImageReference, Interface,
    K3sVersion, KernelArgument, LabelKey, LabelValue, MacAddr, MachineUuid, NodePath, PartitionLabel,
    Priority, Serial, SnapshotName, SshPublicKey, UciName, VirtualRouterId,
};

use super::images::ImageNames;
use super::updates::Updates;

/// Everything `inventory.yaml` says, defaults filled in.
#[derive(Debug, Clone)]
pub struct Inventory {
    pub vips: Vips,
    pub router: Router,
    pub network: Network,
    pub ssh_authorized_keys: Vec<SshPublicKey>,
    pub keepalived: Keepalived,
    pub k3s: K3s,
    pub fcos: Fcos,
    pub updates: Updates,
    /// In the order of the file: priorities, and who is "first", follow it.
    pub hosts: Vec<Host>,
}

#[derive(Debug, Clone)]
pub struct Vips {
    /// At least one; the first is the one that nodes join by.
    pub control_planes: Vec<IpAddr>,
    pub workers: Option<IpAddr>,
}

#[derive(Debug, Clone)]
pub struct Router {
    pub base_url: BaseUrl,
    /// OpenWRT's name of the nodes' network.
    pub network: UciName,
    /// The folder that dnsmasq serves by TFTP; none: somebody else's matter.
    pub tftp_root: Option<NodePath>,
    pub forwarding: Vec<Forwarding>,
}

/// A firewall zone of OpenWRT that may reach another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forwarding {
    pub from: UciName,
    pub to: UciName,
}

#[derive(Debug, Clone)]
pub struct Network {
    /// At least one.
    pub cidrs: Vec<IpNet>,
    pub domain: Option<DnsName>,
    pub control_planes_name: Option<DnsName>,
    pub dhcp_range: Option<AddressRange>,
}

/// Where a secret's value is to be found; never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretReference {
    /// Relative to the inventory's folder.
    File(PathBuf),
    Env(String),
}

#[derive(Debug, Clone)]
pub struct Keepalived {
    pub virtual_router_id: VirtualRouterId,
    pub advert_int_seconds: u32,
    /// `None`: whoever holds the address keeps it (`nopreempt`).
    pub preempt_delay_seconds: Option<u32>,
    pub auth_pass: Option<At<SecretReference>>,
    /// For keepalived 2.4 and later, instead of a password.
    pub auth_hmac: Option<At<SecretReference>>,
    pub transport: Transport,
    pub image: ImageReference,
    /// The image as a file of `--static`, which nodes load instead of asking a registry.
    pub image_archive: Option<At<ArtifactPath>>,
    pub install: InstallAs,
    pub health_check: HealthCheck,
}

/// How adverts travel: multicast to 224.0.0.18, or to each peer for switches that drop multicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Multicast,
    Unicast,
}

/// Which of the two rendered forms Ignition installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallAs {
    Service,
    Quadlet,
}

/// Where the health check runs: in keepalived's container, or on the host, which tells keepalived by a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOn {
    Container,
    Host,
}

#[derive(Debug, Clone)]
pub struct HealthCheck {
    pub run_on: RunOn,
    pub interval_seconds: u32,
    pub timeout_seconds: u32,
    pub fall: u32,
    pub rise: u32,
}

#[derive(Debug, Clone)]
pub struct K3s {
    pub version: K3sVersion,
    pub token: At<SecretReference>,
    /// What workers join by; there when there is a worker.
    pub agent_token: Option<At<SecretReference>>,
    /// Names and addresses for the certificate beyond those known from the rest.
    pub tls_san: Vec<String>,
    pub disable: Vec<ComponentName>,
    pub cluster_cidr: Option<IpNet>,
    pub service_cidr: Option<IpNet>,
    /// Further keys for `/etc/rancher/k3s/config.yaml`, after ours.
    pub extra_config: serde_json::Map<String, serde_json::Value>,
    /// The one server that may start a cluster.
    pub bootstrap_host: HostName,
    pub phase: Phase,
    pub selinux: Selinux,
    /// With [`Phase::Restore`].
    pub restore: Restore,
    /// None: the servers keep their snapshots to themselves.
    pub snapshots: Option<Snapshots>,
    /// None: nodes download k3s from the internet.
    pub offline: Option<Offline>,
}

/// Whether k3s' containers are kept apart by SELinux, and who brings the policy (the package k3s-selinux) for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selinux {
    /// They are not.
    None,
    /// The node has it in its image.
    Image,
    /// The node layers it with rpm-ostree, and reboots once.
    Layered,
}

/// The servers put their snapshots of etcd on the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshots {
    /// How many of each server are kept, at least one.
    pub keep: usize,
    /// A divisor of 24: k3s takes them at such hours of the day.
    pub every_hours: u32,
}

/// k3s from the router: files of `--static`.
#[derive(Debug, Clone)]
pub struct Offline {
    pub install_script: At<ArtifactPath>,
    /// One for each architecture that a host has.
    pub binaries: BTreeMap<Arch, At<ArtifactPath>>,
}

/// Whether the bootstrap host starts a new cluster, brings the one that was lost back from a snapshot, or joins the one that
/// is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Bootstrap,
    Restore,
    Reinstall,
}

/// Which snapshot a lost cluster comes back from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restore {
    /// The newest that the router has when the host asks.
    Newest,
    /// This one, and nothing but it.
    Named { host: HostName, name: SnapshotName, sha256: Sha256 },
}

/// How hosts are installed, and from which images.
#[derive(Debug, Clone)]
pub struct Fcos {
    pub install: InstallForm,
    pub images: ImageNames,
}

/// How the installer learns what to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallForm {
    /// By a config in an initrd, which says the hash of the Ignition config.
    Verified,
    /// By `coreos.inst.*`, which cannot say a hash.
    KernelArguments,
}

#[derive(Debug, Clone)]
pub struct Host {
    pub name: HostName,
    /// At least one, at most one of each family; the first is the one that k3s uses.
    pub addresses: Vec<IpAddr>,
    /// At least one; the first is the one it boots by.
    pub macs: Vec<MacAddr>,
    pub uuid: Option<MachineUuid>,
    pub serial: Option<Serial>,
    pub interface: Interface,
    pub role: Role,
    pub install_device: DevicePath,
    pub arch: Arch,
    pub boot: BootPolicy,
    pub labels: BTreeMap<LabelKey, LabelValue>,
    pub kernel_arguments: Vec<KernelArgument>,
    pub disks: Vec<DataDisk>,
    /// For the user's own templates.
    pub vars: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    ControlPlane { priority: Priority },
    Worker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    X86_64,
    Aarch64,
}

/// What a host is told when it boots from the network and nobody has armed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootPolicy {
    /// Install, and from then on start from the disk.
    InstallOnce,
    /// Install at each network boot.
    Install,
    /// Run from memory, nothing on disk.
    Live,
    /// Start from the disk.
    Local,
}

/// A disk that is wiped, given one partition and mounted.
#[derive(Debug, Clone)]
pub struct DataDisk {
    pub device: DevicePath,
    pub label: PartitionLabel,
    pub path: NodePath,
    pub format: DiskFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    Xfs,
    Ext4,
    Btrfs,
}

impl Arch {
    /// As `uname -m` says it.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }
}

impl Offline {
    pub fn paths(&self) -> impl Iterator<Item = &ArtifactPath> {
        self.binaries.values().chain([&self.install_script]).map(|path| &path.value)
    }
}

impl Phase {
    /// Whether the bootstrap host begins the cluster, and the others wait for it.
    pub fn begins(self) -> bool {
        self != Phase::Reinstall
    }
}

impl Snapshots {
    /// The time between two.
    pub fn every(&self) -> Duration {
        Duration::from_secs(u64::from(self.every_hours) * 3600)
    }
}

impl Inventory {
    pub fn control_planes(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.is_control_plane())
    }

    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name.as_str() == name)
    }

    pub fn host_at(&self, address: IpAddr) -> Option<&Host> {
        self.hosts.iter().find(|host| host.addresses.contains(&address))
    }
}

impl Vips {
    /// The address that nodes join by and that kubeconfigs name.
    pub fn primary(&self) -> IpAddr {
        self.control_planes[0]
    }
}

impl HealthCheck {
    /// The check's own limit, before keepalived's: half a second is enough to start and end it.
    pub fn limit_seconds(&self) -> f64 {
        f64::from(self.timeout_seconds) - 0.5
    }
}

impl Host {
    pub fn address(&self) -> IpAddr {
        self.addresses[0]
    }

    pub fn address_like(&self, other: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == other.is_ipv4())
    }

    pub fn is_control_plane(&self) -> bool {
        matches!(self.role, Role::ControlPlane { .. })
    }

    /// `lenovo1.lab.internal`, when the network has a domain.
    pub fn fqdn(&self, network: &Network) -> Option<DnsName> {
        let domain = network.domain.as_ref()?;
        format!("{}.{domain}", self.name).parse().ok()
    }
}
