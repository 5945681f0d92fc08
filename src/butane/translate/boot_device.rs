//! `boot_device` → the disks, RAIDs, filesystems and LUKS volume of a mirrored or encrypted root.
//!
//! The partition layouts are those of the CoreOS images: an installed system finds its partitions by these labels and
//! type GUIDs, so the tables may grow but never change.

use crate::butane::record::{Node, Record, Value};
use crate::butane::schema::{CLEVIS, CONFIG, DISK, FILESYSTEM, LUKS, PARTITION, RAID, STORAGE};
use crate::butane::yaml::NodeId;

const BIOS_BOOT: &str = "21686148-6449-6E6F-744E-656564454649";
const EFI_SYSTEM: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const PREP: &str = "9E1A2D38-C612-4316-AA26-8B49521E5A8B";
const RESERVED: &str = "8DA63339-0007-60C0-C436-083AC8230908";

struct Layout {
    name: &'static str,
    /// Label, size in MiB (`None`: the rest of the disk), type GUID.
    partitions: &'static [(&'static str, Option<i64>, Option<&'static str>)],
}

const BOOT: (&str, Option<i64>, Option<&str>) = ("boot", Some(384), None);
const ROOT: (&str, Option<i64>, Option<&str>) = ("root", None, None);
const ESP: (&str, Option<i64>, Option<&str>) = ("esp", Some(127), Some(EFI_SYSTEM));

/// The first is the one used when no layout is given.
static LAYOUTS: &[Layout] = &[
    Layout { name: "x86_64", partitions: &[("bios", Some(1), Some(BIOS_BOOT)), ESP, BOOT, ROOT] },
    Layout { name: "aarch64", partitions: &[("reserved", Some(1), Some(RESERVED)), ESP, BOOT, ROOT] },
    Layout {
        name: "ppc64le",
        partitions: &[("prep", Some(4), Some(PREP)), ("reserved", Some(1), Some(RESERVED)), BOOT, ROOT],
    },
];

/// The generated part of the config, to be merged under the user's.
pub fn generate(boot_device: &Record) -> Record {
    let origin = boot_device.origin;
    let mut storage = Record::new(&STORAGE, origin);
    let mirror = boot_device.record("mirror").filter(|mirror| !mirror.list("devices").is_empty());
    if let Some(mirror) = mirror {
        mirror_disks(&mut storage, boot_device, mirror);
    }
    let luks = boot_device.record("luks").filter(|luks| is_encrypted(luks));
    if let Some(luks) = luks {
        let device = match mirror {
            Some(_) => "/dev/md/md-root".to_owned(),
            None => root_device(boot_device.text_or_empty("layout"), luks.text_or_empty("device")),
        };
        storage.list_mut("luks").push(root_volume(luks, &device).into());
    }
    if mirror.is_some() || luks.is_some() {
        let device = if luks.is_some() { "/dev/mapper/root" } else { "/dev/md/md-root" };
        storage.list_mut("filesystems").push(filesystem(origin, device, "xfs", "root"));
    }
    Record::new(&CONFIG, origin).with("storage", storage)
}

/// A threshold alone asks for nothing.
pub fn is_encrypted(luks: &Record) -> bool {
    let cex = luks.record("cex").is_some_and(|cex| cex.is_true("enabled"));
    luks.is_true("tpm2") || !luks.list("tang").is_empty() || cex
}

fn mirror_disks(storage: &mut Record, boot_device: &Record, mirror: &Record) {
    let name = boot_device.text("layout").unwrap_or(LAYOUTS[0].name);
    let Some(layout) = LAYOUTS.iter().find(|layout| layout.name == name) else { return };
    let origin = mirror.origin;
    let count = mirror.list("devices").len();
    for (number, device) in (1..).zip(mirror.list("devices")) {
        let partitions = layout.partitions.iter();
        let partitions =
            partitions.map(|row| partition(device.origin, number, row).into()).collect::<Vec<_>>();
        let path = device.value.clone();
        let disk = Record::new(&DISK, device.origin).with("device", path).with("partitions", partitions);
        storage.list_mut("disks").push(disk.with("wipe_table", true).into());
        if layout.partitions.contains(&ESP) {
            // One on every disk: firmware boots from any of them, and cannot read a RAID.
            let label = format!("esp-{number}");
            let esp = filesystem(device.origin, &format!("/dev/disk/by-partlabel/{label}"), "vfat", &label);
            storage.list_mut("filesystems").push(esp);
        }
    }
    // A superblock at the end lets the boot loader read the array as a plain filesystem.
    let boot = array(origin, "boot", count).with("options", vec![Node::new(origin, "--metadata=1.0")]);
    storage.list_mut("raid").extend([boot.into(), array(origin, "root", count).into()]);
    storage.list_mut("filesystems").push(filesystem(origin, "/dev/md/md-boot", "ext4", "boot"));
}

fn partition(
    origin: NodeId,
    number: usize,
    (label, size, guid): &(&str, Option<i64>, Option<&str>),
) -> Record {
    let mut partition = Record::new(&PARTITION, origin).with("label", format!("{label}-{number}"));
    if let Some(size) = size {
        partition.set("size_mib", origin, *size);
    }
    if let Some(guid) = guid {
        partition.set("type_guid", origin, *guid);
    }
    partition
}

fn array(origin: NodeId, label: &str, count: usize) -> Record {
    let devices = (1..=count).map(|n| Node::new(origin, format!("/dev/disk/by-partlabel/{label}-{n}")));
    Record::new(&RAID, origin)
        .with("devices", devices.collect::<Vec<_>>())
        .with("level", "raid1")
        .with("name", format!("md-{label}"))
}

fn filesystem(origin: NodeId, device: &str, format: &str, label: &str) -> Node {
    let filesystem = Record::new(&FILESYSTEM, origin).with("device", device).with("format", format);
    filesystem.with("label", label).with("wipe_filesystem", true).into()
}

/// Where the root partition of an unmirrored image is: on IBM Z the disk is named and the partition is fixed.
fn root_device(layout: &str, device: &str) -> String {
    match layout {
        "s390x-eckd" => format!("{device}2"),
        "s390x-zfcp" => format!("{device}4"),
        _ => "/dev/disk/by-partlabel/root".to_owned(),
    }
}

fn root_volume(luks: &Record, device: &str) -> Record {
    let origin = luks.origin;
    let mut clevis = Record::new(&CLEVIS, origin);
    for name in ["tang", "threshold", "tpm2"] {
        copy(luks, &mut clevis, name);
    }
    let mut volume = Record::new(&LUKS, origin).with("device", device).with("label", "luks-root");
    volume = volume.with("name", "root").with("wipe_volume", true);
    if luks.is_true("tpm2") || !luks.list("tang").is_empty() {
        volume = volume.with("clevis", clevis);
    }
    copy(luks, &mut volume, "discard");
    if luks.record("cex").is_some_and(|cex| cex.is_true("enabled")) {
        copy(luks, &mut volume, "cex");
    }
    volume
}

fn copy(from: &Record, to: &mut Record, name: &str) {
    if let Some(node) = from.get(name) {
        let value: Value = node.value.clone();
        to.set(name, node.origin, value);
    }
}
