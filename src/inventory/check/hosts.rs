//! Rules about machines: who they are, what they inherit, in which order they take the VIP.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::document::{At, suggest};
use crate::ids::{HostName, MacAddr, PartitionLabel, Priority};
use crate::inventory::model::{Arch, BootPolicy, DataDisk, Host, Role};
use crate::inventory::raw::{self, RoleWord, Settings};
use crate::report::Finding;

use super::{Checker, usual_priority};

/// Our own names among those of hosts: of scripts (`/pxe/ipxe/unknown.ipxe`, beside which MACs stand) and of templates
/// (`ipxe/boot.ipxe.j2`, `butane/node.bu.j2`).
const TAKEN_NAMES: [&str; 6] = ["boot", "install", "live", "local", "node", "unknown"];

/// The control planes and their priorities.
pub type Priorities = BTreeMap<HostName, Priority>;

/// For each host what it says itself, over its groups (the later over the earlier), over `defaults`.
pub fn settings_of(raw: &raw::Inventory, checker: &Checker<'_>) -> Vec<Settings> {
    let known: Vec<&str> = raw.groups.keys().map(String::as_str).collect();
    let mut all = Vec::new();
    for host in &raw.hosts {
        let mut settings = host.settings.clone();
        for name in host.groups.iter().rev() {
            match raw.groups.get(&name.value) {
                Some(group) => settings = settings.over(group),
                None => {
                    let help =
                        suggest(&name.value, &known).unwrap_or_else(|| "define it under `groups:`".into());
                    checker.push(name.error(format!("there is no group {:?}", name.value)).help(help));
                }
            }
        }
        all.push(settings.over(&raw.defaults));
    }
    all
}

/// Every MAC, address, UUID and serial belongs to one host.
pub fn check_identities(hosts: &[raw::Host], checker: &Checker<'_>) {
    if hosts.is_empty() && !checker.report.borrow().has_errors() {
        checker.push(Finding::error("hosts", "is empty").help("add an entry per machine"));
    }
    unique(hosts, |host| host.macs.iter().collect(), "every host boots by its own MAC", checker);
    unique(hosts, |host| host.addresses.iter().collect(), "every host has its own address", checker);
    unique(hosts, |host| host.uuid.iter().collect(), "a UUID names one machine", checker);
    unique(hosts, |host| host.serial.iter().collect(), "a serial number names one machine", checker);
}

fn unique<'h, T: Ord + Display + 'h>(
    hosts: &'h [raw::Host],
    values: impl Fn(&'h raw::Host) -> Vec<&'h At<T>>,
    why: &str,
    checker: &Checker<'_>,
) {
    let mut owners: BTreeMap<&T, (&HostName, usize)> = BTreeMap::new();
    for host in hosts {
        for at in values(host) {
            match owners.get(&at.value) {
                Some((owner, line)) => {
                    let message = format!("{} already belongs to {owner} (line {line})", at.value);
                    checker.push(at.error(message).help(format!("{why}; give {} another", host.name.value)));
                }
                None => {
                    owners.insert(&at.value, (&host.name.value, at.place.line));
                }
            }
        }
    }
}

/// Who stands for the VIP, in which order: as written, else 100, 90, 80 … in the order of the file.
pub fn priorities(hosts: &[raw::Host], settings: &[Settings], checker: &Checker<'_>) -> Priorities {
    let is_server =
        |settings: &Settings| settings.role.as_ref().is_some_and(|role| role.value == RoleWord::ControlPlane);
    for (host, _) in hosts
        .iter()
        .zip(settings)
        .filter(|(_, settings)| settings.role.as_ref().is_some_and(|role| role.value == RoleWord::Worker))
    {
        if let Some(priority) = &host.priority {
            let help = "workers do not hold the control-plane VIP; leave the priority out, or make it a control_plane";
            checker.push(priority.error("a worker has no VRRP priority").help(help));
        }
    }
    let servers: Vec<&raw::Host> = hosts
        .iter()
        .zip(settings)
        .filter(|(_, settings)| is_server(settings))
        .map(|(host, _)| host)
        .collect();
    if servers.is_empty() && !checker.report.borrow().has_errors() {
        checker.push(
            Finding::error("hosts", "no host is a control plane")
                .help("give at least one host `role: control_plane`"),
        );
    }
    let mut taken: BTreeMap<Priority, &raw::Host> = BTreeMap::new();
    let mut priorities = Priorities::new();
    for (place, host) in servers.iter().enumerate() {
        let Some(priority) =
            host.priority.as_ref().map(|at| at.value).or_else(|| usual_priority(place, servers.len()))
        else {
            checker.push(
                host.name
                    .error("no priority is left for this host")
                    .help("give the control planes priorities of their own"),
            );
            continue;
        };
        match taken.get(&priority) {
            Some(other) => {
                let at = host.priority.as_ref().map_or_else(|| host.name.error("x"), |at| at.error("x"));
                let finding = Finding {
                    message: format!("{priority} is the priority of {} as well", other.name.value),
                    ..at
                };
                let help = "equal priorities leave the order to the addresses (RFC 5798 §6.4.3); use different ones such as 100, 90, 80";
                checker.push(finding.help(help));
            }
            None => {
                taken.insert(priority, host);
            }
        }
        priorities.insert(host.name.value.clone(), priority);
    }
    priorities
}

/// The checked hosts, in the order of the file; those with an error are left out.
pub fn build(
    hosts: &[raw::Host],
    settings: Vec<Settings>,
    priorities: &Priorities,
    bootstrap_host: Option<&HostName>,
    checker: &Checker<'_>,
) -> Vec<Host> {
    let taken_names = bootstrap_host
        .map(|name| [format!("{name}-bootstrap"), format!("{name}-restore"), format!("{name}-reinstall")]);
    for host in hosts {
        if taken_names.iter().flatten().any(|name| name == host.name.value.as_str()) {
            let help = "its Ignition would lie where that of the bootstrap host lies; choose another name";
            checker.push(host.name.error("the name is taken by a phase of the bootstrap host").help(help));
        }
    }
    for host in hosts {
        let name = &host.name;
        if TAKEN_NAMES.contains(&name.value.as_str()) || name.value.as_str().parse::<MacAddr>().is_ok() {
            let help = "its boot script or template would be taken for another; choose another name";
            checker.push(name.error("no host can be called so").help(help));
        }
    }
    hosts
        .iter()
        .zip(settings)
        .filter_map(|(host, settings)| build_host(host, settings, priorities, checker))
        .collect()
}

fn build_host(
    raw: &raw::Host,
    settings: Settings,
    priorities: &Priorities,
    checker: &Checker<'_>,
) -> Option<Host> {
    let missing = |what: &str, help: &str| {
        let path = format!("{}.{what}", raw.name.path);
        // What stands there but cannot be read has its own finding.
        let is_reported = |finding: &Finding| finding.path == path;
        if checker.report.borrow().findings().iter().any(is_reported) {
            return;
        }
        checker.push(Finding::error(path, "is missing").help(help).at(Some(raw.name.place.clone())));
    };
    if settings.interface.is_none() {
        missing("interface", "name the network interface, here or in `defaults`, as `ip link` shows it");
    }
    if settings.role.is_none() {
        missing("role", "write control_plane or worker, here or in `defaults`");
    }
    if settings.install_device.is_none() {
        missing("install_device", "name the disk to install to, here or in `defaults`, such as /dev/nvme0n1");
    }
    if let Some(boot) = settings.boot.as_ref().filter(|boot| boot.value == BootPolicy::Install) {
        let help =
            "put its disk before the network in the firmware, or write install_once and use `pxe-serve arm`";
        let message = "a machine that boots from the network first is installed each time and never starts";
        // Of `defaults`, it is the same for every host.
        checker.report.borrow_mut().push_once(boot.note(message).help(help));
    }
    let disks = settings.disks.as_deref().unwrap_or_default();
    check_disks(disks, settings.install_device.as_ref(), checker);
    Some(Host {
        role: match settings.role?.value {
            RoleWord::ControlPlane => Role::ControlPlane { priority: *priorities.get(&raw.name.value)? },
            RoleWord::Worker => Role::Worker,
        },
        name: raw.name.value.clone(),
        addresses: raw.addresses.iter().map(|address| address.value).collect(),
        macs: raw.macs.iter().map(|mac| mac.value).collect(),
        uuid: raw.uuid.as_ref().map(|uuid| uuid.value.clone()),
        serial: raw.serial.as_ref().map(|serial| serial.value.clone()),
        interface: settings.interface?.value,
        install_device: settings.install_device?.value,
        arch: settings.arch.map_or(Arch::X86_64, |arch| arch.value),
        boot: settings.boot.map_or(BootPolicy::InstallOnce, |boot| boot.value),
        labels: settings.labels,
        kernel_arguments: settings
            .kernel_arguments
            .unwrap_or_default()
            .into_iter()
            .map(|at| at.value)
            .collect(),
        disks: disks.iter().enumerate().filter_map(|(index, disk)| data_disk(index, disk)).collect(),
        vars: settings.vars,
    })
}

fn check_disks(
    disks: &[raw::Disk],
    install_device: Option<&At<crate::ids::DevicePath>>,
    checker: &Checker<'_>,
) {
    for (index, disk) in disks.iter().enumerate() {
        if install_device.is_some_and(|device| device.value == disk.device.value) {
            let help = "a data disk is wiped; name another disk than install_device";
            checker.push(
                disk.device
                    .error(format!("{} is the disk that is installed to", disk.device.value))
                    .help(help),
            );
        }
        let earlier = &disks[..index];
        if earlier.iter().any(|other| other.device.value == disk.device.value) {
            checker.push(
                disk.device
                    .error("the disk stands in this list already")
                    .help("a data disk has one partition"),
            );
        }
        if let Some(label) = label(index, disk)
            && earlier
                .iter()
                .enumerate()
                .any(|(index, other)| self::label(index, other).as_ref() == Some(&label))
        {
            let at = disk.label.as_ref().map_or_else(|| disk.device.error(""), |label| label.error(""));
            let help = "a disk is found by its label, so each needs its own";
            checker.push(
                Finding { message: format!("another disk has the label {label} already"), ..at }.help(help),
            );
        }
        if earlier.iter().any(|other| other.path.value == disk.path.value) {
            checker.push(
                disk.path.error("another disk is mounted here already").help("give each disk its own path"),
            );
        }
    }
}

/// As written, else `data0`, `data1` … by the disk's place in the list.
fn label(index: usize, disk: &raw::Disk) -> Option<PartitionLabel> {
    match &disk.label {
        Some(label) => Some(label.value.clone()),
        None => format!("data{index}").parse().ok(),
    }
}

fn data_disk(index: usize, disk: &raw::Disk) -> Option<DataDisk> {
    Some(DataDisk {
        device: disk.device.value.clone(),
        label: label(index, disk)?,
        path: disk.path.value.clone(),
        format: disk.format,
    })
}
