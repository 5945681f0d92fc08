//! Mistakes in Butane's own part of a config: sugar, alternatives, and what the user probably meant.

use super::mode::looks_decimal;
use super::walk;
use crate::butane::findings::Findings;
use crate::butane::ignition::read;
use crate::butane::record::Record;
use crate::butane::schema::{Gate, Kind};
use crate::butane::spec::Spec;
use crate::butane::translate::boot_device::is_encrypted;
use crate::butane::translate::mount::SWAP_UNITS_SINCE;
use crate::butane::yaml::NodeId;
use crate::report::Severity;

/// The boot disk, by the link CoreOS makes for it.
const BOOT_DISK: &str = "/dev/disk/by-id/coreos-boot-disk";

/// The partitions of a CoreOS image, by label: reused only under these numbers.
const RESERVED_PARTITIONS: &[(&str, i64)] =
    &[("BIOS-BOOT", 1), ("PowerPC-PReP-boot", 1), ("EFI-SYSTEM", 2), ("boot", 3), ("root", 4)];

/// Below this an image's root filesystem runs out of room for updates.
const ROOT_MIN_MIB: i64 = 8192;

const QUADLET_EXTENSIONS: [&str; 8] =
    [".container", ".volume", ".network", ".kube", ".image", ".build", ".pod", ".artifact"];

pub fn check(config: &Record, spec: &Spec, findings: &mut Findings<'_>) {
    walk(config, &mut |record| match record.shape.kind {
        Kind::Config if spec.knows_boot_disk() && spec.minor >= 5 => {
            partitions_reused_by_label(record, findings)
        }
        Kind::Reference | Kind::Contents => resource(record, findings),
        Kind::IgnitionConfig => inline_configs(record, spec, findings),
        Kind::File => mode(record, "mode", false, findings),
        Kind::Directory => mode(record, "mode", true, findings),
        Kind::Tree => tree(record, findings),
        Kind::Disk if spec.knows_boot_disk() => partitions(record, spec, findings),
        Kind::Filesystem => mount_unit(record, spec, findings),
        Kind::Unit | Kind::Dropin => contents_once(record, findings),
        Kind::Quadlet => quadlet(record, findings),
        Kind::BootDevice => boot_device(record, spec, findings),
        Kind::GrubUser => grub_user(record, findings),
        _ => {}
    });
}

fn resource(resource: &Record, findings: &mut Findings<'_>) {
    let given = ["local", "inline", "source"].into_iter().filter(|name| resource.has(name));
    let given: Vec<&str> = given.collect();
    if let [_, .., last] = given[..] {
        findings.field_error(resource, last, "only one of the following can be set: inline, local, source");
    }
}

/// A config given as text is as good as one that was compiled: it has to be valid, at the version of this one.
fn inline_configs(configs: &Record, spec: &Spec, findings: &mut Findings<'_>) {
    for reference in configs.records("merge").chain(configs.record("replace")) {
        let Some(inline) = reference.get("inline").filter(|_| !reference.has("source")) else { continue };
        let Some(text) = reference.text("inline") else { continue };
        if let Err(problem) = inline_config(text, reference, inline.origin, spec, findings) {
            findings.error(inline.origin, problem);
        }
    }
}

fn inline_config(
    text: &str,
    reference: &Record,
    origin: NodeId,
    spec: &Spec,
    findings: &mut Findings<'_>,
) -> Result<(), String> {
    let json = serde_json::from_str(text).map_err(|error| format!("config is not valid: {error}"))?;
    if read::version(&json) != Some(spec.ignition_version().as_str()) {
        let message = "skipping validation for the merge/replace ignition config due to an unkown version";
        findings.missing(Severity::Warning, reference, "version", message);
        return Ok(());
    }
    let mut unused = Vec::new();
    let config = read::config(&json, spec.minor, origin, &mut unused)?;
    super::generated::check(&config, spec.minor, findings);
    for key in unused {
        findings.warning(origin, format!("Unused key {key}"));
    }
    Ok(())
}

fn mode(node: &Record, field: &str, is_directory: bool, findings: &mut Findings<'_>) {
    if node.int(field).is_some_and(|mode| looks_decimal(mode, is_directory)) {
        let message =
            "unreasonable mode would be reasonable if specified in octal; remember to add a leading zero";
        findings.field_warning(node, field, message);
    }
}

fn tree(tree: &Record, findings: &mut Findings<'_>) {
    if tree.filled("local").is_none() {
        findings.error(tree.origin, "local is required");
    }
    mode(tree, "file_mode", false, findings);
    mode(tree, "dir_mode", true, findings);
}

fn partitions_reused_by_label(config: &Record, findings: &mut Findings<'_>) {
    let Some(storage) = config.record("storage") else { return };
    // Mirrored disks are wiped, whatever they say themselves.
    let mirror = config.record("boot_device").and_then(|boot| boot.record("mirror"));
    let mirrored: Vec<&str> = mirror.iter().flat_map(|mirror| mirror.texts("devices")).collect();
    let is_kept = |disk: &&Record| {
        let device = disk.text_or_empty("device");
        device != BOOT_DISK && !mirrored.contains(&device) && !disk.is_true("wipe_table")
    };
    for disk in storage.records("disks").filter(is_kept) {
        for partition in disk.records("partitions") {
            if partition.int("number").unwrap_or(0) == 0 && partition.has("label") {
                findings.field_warning(
                    partition,
                    "number",
                    "partitions cannot be reused by label; number must be specified except on boot disk \
                     (/dev/disk/by-id/coreos-boot-disk) or when wipe_table is true",
                );
            }
        }
    }
}

fn partitions(disk: &Record, spec: &Spec, findings: &mut Findings<'_>) {
    if disk.is_true("wipe_table") {
        return;
    }
    for partition in disk.records("partitions") {
        let Some(label) = partition.text("label") else { continue };
        let number = partition.int("number").unwrap_or(0);
        let reserved = RESERVED_PARTITIONS.iter().find(|(reserved, _)| *reserved == label);
        if reserved.is_some_and(|(_, reserved)| *reserved != number) {
            let message = "incorrect partition number; a new partition will be created using reserved label";
            findings.field_warning(partition, "label", message);
        } else if label == "root" && spec.has(Gate::BootDevice) {
            root_partition(disk, partition, findings);
        }
    }
}

fn root_partition(disk: &Record, root: &Record, findings: &mut Findings<'_>) {
    let size = root.int("size_mib").unwrap_or(0);
    if size != 0 {
        if size < ROOT_MIN_MIB {
            findings.field_warning(root, "size_mib", "root should have 8GiB of space assigned");
        }
        return;
    }
    // The next partition goes right behind the root if it has no place of its own, and then the root cannot grow.
    let mut others = disk.records("partitions").filter(|other| other.text("label") != Some("root"));
    if others.any(|other| other.int("start_mib").unwrap_or(0) == 0) {
        let message = "root partition cannot expand; it is set to fill available space but is followed by an \
                       auto-positioned partition";
        findings.field_warning(root, "label", message);
    }
}

fn mount_unit(filesystem: &Record, spec: &Spec, findings: &mut Findings<'_>) {
    if !filesystem.is_true("with_mount_unit") {
        return;
    }
    let Some(format) = filesystem.filled("format") else {
        findings.field_error(filesystem, "format", "format is required if with_mount_unit is true");
        return;
    };
    if format == "swap" && spec.minor >= SWAP_UNITS_SINCE {
        return;
    }
    match filesystem.filled("path") {
        None => {
            let message = "path is required if with_mount_unit is true and format is not swap";
            findings.field_error(filesystem, "path", message);
        }
        // The rest of an image-based system is read-only; a mount unit elsewhere has no mount point.
        Some(path) if spec.minor >= 5 && !is_below(path, &["/etc", "/var"]) => {
            let message = "path must be under /etc or /var if with_mount_unit is true";
            findings.field_error(filesystem, "path", message);
        }
        Some(_) => {}
    }
}

fn is_below(path: &str, roots: &[&str]) -> bool {
    roots
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn contents_once(unit: &Record, findings: &mut Findings<'_>) {
    if unit.has("contents") && unit.has("contents_local") {
        let message = "only one of the following can be set: contents, contents_local";
        findings.field_error(unit, "contents_local", message);
    }
}

fn quadlet(quadlet: &Record, findings: &mut Findings<'_>) {
    contents_once(quadlet, findings);
    let name = quadlet.text_or_empty("name");
    if !QUADLET_EXTENSIONS.iter().any(|extension| name.ends_with(extension)) {
        findings.field_error(
            quadlet,
            "name",
            "unsupported file extension for quadlet: must be one of .container, .volume, .network, .kube, .image, \
             .build, .pod, or .artifact",
        );
    }
}

/// A layout of IBM Z, where the disk is named; the virtual one finds it by itself. Known since fcos 1.6.
struct IbmZ {
    layout: &'static str,
    /// What names of such disks begin with; one letter follows.
    disk: Option<&'static str>,
}

const IBM_Z: [IbmZ; 3] = [
    IbmZ { layout: "s390x-eckd", disk: Some("/dev/dasd") },
    IbmZ { layout: "s390x-virt", disk: None },
    IbmZ { layout: "s390x-zfcp", disk: Some("/dev/sd") },
];

const MIRRORED_LAYOUTS: [&str; 3] = ["aarch64", "ppc64le", "x86_64"];

fn boot_device(boot: &Record, spec: &Spec, findings: &mut Findings<'_>) {
    let luks_device = boot.record("luks").and_then(|luks| luks.filled("device"));
    let mirror = boot.record("mirror").filter(|mirror| !mirror.list("devices").is_empty());
    if let Some(layout) = boot.text("layout") {
        let ibm_z = IBM_Z.iter().filter(|_| spec.minor >= 5).find(|known| known.layout == layout);
        let problem = match ibm_z {
            None if MIRRORED_LAYOUTS.contains(&layout) => None,
            None => Some("layout must be one of: aarch64, ppc64le, x86_64"),
            Some(_) if mirror.is_some() => {
                Some("mirroring not supported on layouts: s390x-eckd, s390x-zfcp, s390x-virt")
            }
            Some(IbmZ { disk: None, .. }) => None,
            Some(IbmZ { disk: Some(prefix), .. }) => ibm_z_disk_problem(luks_device, prefix),
        };
        if let Some(problem) = problem {
            findings.field_error(boot, "layout", problem);
        }
    }
    if let Some(mirror) = mirror {
        if mirror.list("devices").len() == 1 {
            findings.field_error(mirror, "devices", "mirroring requires at least two devices");
        }
        if !boot.has("layout") {
            let severity = if spec.minor >= 6 { Severity::Error } else { Severity::Warning };
            let message = "boot_device.layout should be specified when boot_device.mirror is specified";
            findings.field(severity, boot, "mirror", message);
        }
    }
    if let Some(luks) = boot.record("luks")
        && spec.minor >= 6
        && luks_device.is_some()
        && !is_encrypted(luks)
    {
        findings.error(luks.origin, "device is encrypted by nothing; specify tpm2, tang, or cex");
    }
}

fn ibm_z_disk_problem(device: Option<&str>, prefix: &str) -> Option<&'static str> {
    let Some(device) = device else { return Some("device is required for layouts: s390x-eckd, s390x-zfcp") };
    let letter = device.strip_prefix(prefix).unwrap_or("");
    let is_disk = letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase());
    let message =
        "device name must start with /dev/dasd on s390x-eckd layout or /dev/sd on s390x-zfcp layout";
    (!is_disk).then_some(message)
}

fn grub_user(user: &Record, findings: &mut Findings<'_>) {
    if user.filled("name").is_none() {
        findings.field_error(user, "name", "field \"name\" is required");
    }
    if user.filled("password_hash").is_none() {
        findings.field_error(user, "password_hash", "field \"password_hash\" is required");
    }
}
