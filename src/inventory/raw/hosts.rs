//! `hosts:`, `defaults:` and `groups:` as written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::document::{At, Fields, Item};
use crate::ids::{
    DevicePath, HostName, Interface, Invalid, KernelArgument, LabelKey, LabelValue, MacAddr, MachineUuid,
    NodePath, PartitionLabel, Priority, Serial,
};
use crate::inventory::model::{Arch, BootPolicy, DiskFormat};

use super::{address, one_or_many};

/// What `defaults`, a group and a host may all say.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pub interface: Option<At<Interface>>,
    pub role: Option<At<RoleWord>>,
    pub install_device: Option<At<DevicePath>>,
    pub arch: Option<At<Arch>>,
    pub boot: Option<At<BootPolicy>>,
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
        self.boot = self.boot.or_else(|| lower.boot.clone());
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

pub fn read_shared_settings(item: &Item<'_>) -> Option<Settings> {
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
        boot: fields.get("boot").and_then(|item| {
            item.choice(&[
                ("install_once", BootPolicy::InstallOnce),
                ("install", BootPolicy::Install),
                ("live", BootPolicy::Live),
                ("local", BootPolicy::Local),
            ])
        }),
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

pub fn read_host(name: &At<&str>, item: &Item<'_>) -> Option<Host> {
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

fn read_group_names(item: &Item<'_>) -> Vec<At<String>> {
    item.list().unwrap_or_default().iter().filter_map(|item| Some(item.at(item.text()?.to_owned()))).collect()
}
