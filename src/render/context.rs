//! What templates know. Decisions are made here, so that a template needs only `if` and `for`.

use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::catalogue::ArtifactPath;
use crate::ids::K3sVersion;
use crate::inventory::{
    Arch, DiskFormat, Host, InstallForm, Inventory, K3s, Phase, Restore, Role, Selinux, UpdateStrategy,
    UpdateWindow, Updates,
};

use super::Site;
use super::k3s;
use super::keepalived;

/// The context of the whole site, made once; those of hosts and boots are laid over it.
pub struct Contexts<'s> {
    source: &'s Site,
    inventory: &'s Inventory,
    /// Of the k3s that the router has.
    offline: Value,
    /// Servers have the workers' token in a file.
    agent_token_file: bool,
    site: Value,
}

#[derive(Serialize)]
struct HostContext<'i> {
    name: &'i str,
    fqdn: Option<String>,
    address: String,
    mac: String,
    macs: Vec<String>,
    uuid: Option<&'i str>,
    serial: Option<&'i str>,
    interface: &'i str,
    role: &'static str,
    update_group: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    /// The VRRP instances of a control plane: one for each family of VIPs.
    vrrp_instances: Vec<keepalived::Instance>,
    install_device: &'i str,
    arch: &'static str,
    labels: serde_json::Value,
    kernel_arguments: Vec<&'i str>,
    disks: Vec<DiskContext<'i>>,
    vars: &'i serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct DiskContext<'i> {
    device: &'i str,
    label: &'i str,
    path: &'i str,
    format: &'static str,
}

impl<'s> Contexts<'s> {
    /// `offline` and `archive` are what the router has of k3s and of keepalived's image.
    pub fn new(site: &'s Site, offline: &Value, archive: &Value) -> Self {
        let inventory = &site.inventory;
        let network = &inventory.network;
        let vip = inventory.vips.primary();
        let agent_token_file = site.secrets.agent_password().is_some();
        let hosts: Vec<Value> = inventory.hosts.iter().map(|host| host_context(inventory, host)).collect();
        let values = context! {
            base_url => inventory.router.base_url.as_str(),
            vips => context! {
                control_planes => vip.to_string(),
                workers => inventory.vips.workers.map(|vip| vip.to_string()),
            },
            network => context! {
                cidr => network.cidrs.first().map(|cidr| cidr.to_string()),
                domain => network.domain.as_ref().map(|domain| domain.as_str()),
                control_planes_name => network.control_planes_name.as_ref().map(|name| name.as_str()),
            },
            ssh_authorized_keys => inventory.ssh_authorized_keys.iter().map(|key| key.to_string()).collect::<Vec<_>>(),
            keepalived => keepalived::context(&inventory.keepalived, archive),
            k3s => k3s_context(inventory, offline, agent_token_file),
            fcos => fcos(site, Arch::X86_64),
            updates => updates(&inventory.updates),
            hosts => hosts,
        };
        Contexts { source: site, inventory, offline: offline.clone(), agent_token_file, site: values }
    }

    pub fn site(&self) -> &Value {
        &self.site
    }

    pub fn host(&self, host: &Host) -> Value {
        context! {
            host => host_context(self.inventory, host),
            fcos => fcos(self.source, host.arch),
            ..self.site.clone()
        }
    }

    /// What one Ignition config's files know besides: its name, its phase and the k3s configuration.
    pub fn boot(&self, boot: &super::boots::Boot<'_>) -> Value {
        context! {
            name => boot.name.as_str(),
            phase => phase(boot.phase),
            k3s => context! {
                mode => k3s::mode(boot.host),
                ..k3s_context(self.inventory, &self.offline, self.agent_token_file)
            },
            k3s_config => Value::from(Serde(k3s::config(self.inventory, boot, self.agent_token_file))),
            ..self.host(boot.host)
        }
    }
}

fn k3s_context(inventory: &Inventory, offline: &Value, agent_token_file: bool) -> Value {
    let k3s = &inventory.k3s;
    context! {
        tls_san_by_openssl => k3s::tls_san_by_openssl(inventory),
        version => k3s.version.to_string(),
        authentication_api => authentication_api(&k3s.version),
        authentication_config => k3s.version.has_authentication_config(),
        agent_token_file,
        offline,
        phase => phase(k3s.phase),
        restore => restore(k3s),
        snapshots => k3s.snapshots.is_some(),
        selinux => match k3s.selinux { Selinux::None => "none", Selinux::Image => "image", Selinux::Layered => "layered" },
    }
}

/// The images of this architecture as whole URLs; a stream may have none of an architecture that no host has.
fn fcos(site: &Site, arch: Arch) -> Value {
    let inventory = &site.inventory;
    let asset = |path: &ArtifactPath| format!("{}/{path}", inventory.router.base_url);
    let install = match inventory.fcos.install {
        InstallForm::Verified => "verified",
        InstallForm::KernelArguments => "kernel_arguments",
    };
    let Some(images) = site.images.of(arch) else { return context! { install } };
    context! {
        install => install,
        kernel => asset(&images.kernel),
        initramfs => asset(&images.initramfs),
        rootfs => asset(&images.rootfs),
        metal_image => images.metal_image.as_ref().map(asset),
        metal_image_sha256 => images.metal_image.as_ref().and_then(|image| site.sha256_of(image)).map(|sha256| sha256.to_string()),
    }
}

fn updates(updates: &Updates) -> Value {
    let strategy = match updates.strategy {
        UpdateStrategy::Coordinated => "coordinated",
        UpdateStrategy::Windows => "windows",
        UpdateStrategy::Off => "off",
    };
    let window = |window: &UpdateWindow| {
        let days: Vec<String> = window.days.iter().map(ToString::to_string).collect();
        context! { days, start => window.start(), length_minutes => window.length_minutes }
    };
    let windows: Vec<Value> = updates.windows.iter().map(window).collect();
    context! { strategy, windows, drains => updates.drain_kubeconfig.is_some() }
}

/// In which version of its API the file is written: the newest that this release surely reads.
fn authentication_api(version: &K3sVersion) -> &'static str {
    if version.has_stable_authentication_config() { "v1" } else { "v1beta1" }
}

/// Undefined unless `k3s.phase` is restore.
fn restore(k3s: &K3s) -> Value {
    match &k3s.restore {
        _ if k3s.phase != Phase::Restore => Value::UNDEFINED,
        Restore::Newest => context! { snapshot => "newest" },
        Restore::Named { host, name, sha256 } => {
            context! { snapshot => format!("{host}/{name}"), sha256 => sha256.to_string() }
        }
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Bootstrap => "bootstrap",
        Phase::Restore => "restore",
        Phase::Reinstall => "reinstall",
    }
}

fn host_context(inventory: &Inventory, host: &Host) -> Value {
    let labels = host.labels.iter().map(|(key, value)| (key.to_string(), value.as_str().into()));
    Value::from(Serde(HostContext {
        name: host.name.as_str(),
        fqdn: host.fqdn(&inventory.network).map(|name| name.to_string()),
        address: host.address().to_string(),
        mac: host.macs.first().map(|mac| mac.to_string()).unwrap_or_default(),
        macs: host.macs.iter().map(|mac| mac.to_string()).collect(),
        uuid: host.uuid.as_ref().map(|uuid| uuid.as_str()),
        serial: host.serial.as_ref().map(|serial| serial.as_str()),
        interface: host.interface.as_str(),
        update_group: host.update_group(),
        role: match host.role {
            Role::ControlPlane { .. } => "control_plane",
            Role::Worker => "worker",
        },
        priority: match host.role {
            Role::ControlPlane { priority } => Some(priority.get()),
            Role::Worker => None,
        },
        vrrp_instances: keepalived::instances(inventory, host),
        install_device: host.install_device.as_str(),
        arch: host.arch.name(),
        labels: serde_json::Value::Object(labels.collect()),
        kernel_arguments: host.kernel_arguments.iter().map(|argument| argument.as_str()).collect(),
        disks: host
            .disks
            .iter()
            .map(|disk| DiskContext {
                device: disk.device.as_str(),
                label: disk.label.as_str(),
                path: disk.path.as_str(),
                format: match disk.format {
                    DiskFormat::Xfs => "xfs",
                    DiskFormat::Ext4 => "ext4",
                    DiskFormat::Btrfs => "btrfs",
                },
            })
            .collect(),
        vars: &host.vars,
    }))
}
