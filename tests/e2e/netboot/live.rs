//! The live system that `fetch-live.sh` builds, with the real coreos-installer, and an image for it to write to disk.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::tools::{command, have, run, said};

use super::image::STARTED_FROM_DISK;

const SECTOR: u64 = 512;
/// Where GRUB's core goes on, and where the partition `boot` begins, which coreos-installer looks for.
const CORE_AT: u64 = 2048 * SECTOR;
pub const BOOT_PARTITION_AT: u64 = 4096 * SECTOR;

const PROGRAMS: &[&str] = &["sgdisk", "mke2fs", "debugfs"];

/// In `boot` as Fedora CoreOS has it: coreos-installer writes the config beside it, and arguments into both files.
const IMAGE: &str = "
printf '%s\\n' 'serial --unit=0 --speed=115200' 'terminal_output serial' 'echo {STARTED_FROM_DISK}' halt >embedded.cfg
grub-mkimage -O i386-pc -o core.img -p / -c embedded.cfg serial terminal echo halt
mkdir -p boot/loader/entries
touch boot/ignition.firstboot
printf '%s\\n' 'title lab' 'version 1' 'options ignition.platform.id=metal $ignition_firstboot' \\
    'linux /vmlinuz' 'initrd /initramfs' >boot/loader/entries/ostree-1-lab.conf
rm -f metal.raw
truncate -s 32M metal.raw
sgdisk --new 1:2048:4095 --typecode 1:ef02 --new 2:4096:0 --change-name 2:boot metal.raw >/dev/null
mke2fs -q -t ext4 -L boot -d boot -E offset={BOOT_PARTITION_AT} metal.raw 24M
";

/// Where kernel, initramfs and root file system are, by the names of the inventory's section `fcos`. `None` where they were
/// not built.
pub fn images() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/live");
    (have(PROGRAMS, true) && have(&[folder.join("built-by").to_str().unwrap()], true)).then_some(folder)
}

/// Writes the disk image of a system that says it was started, and no more. For GPT and a BIOS.
pub fn write_image(to: &Path) {
    let script = IMAGE
        .replace("{STARTED_FROM_DISK}", STARTED_FROM_DISK)
        .replace("{BOOT_PARTITION_AT}", &BOOT_PARTITION_AT.to_string());
    let folder = tempfile::tempdir().unwrap();
    let output = run(command("sh").current_dir(&folder).args(["-e", "-c", &script]), Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
    let image = folder.path().join("metal.raw");
    let disk = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    let mut core = std::fs::read(folder.path().join("core.img")).unwrap();
    assert!((core.len() as u64) < BOOT_PARTITION_AT - CORE_AT, "{}", core.len());
    // GRUB's boot sector says in which sector it goes on, and that one where the rest is: grub-core/boot/i386/pc.
    const GOES_ON: usize = 0x5c;
    const REST: usize = 0x1f4;
    let mut boot = std::fs::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
    boot[GOES_ON..GOES_ON + 8].copy_from_slice(&(CORE_AT / SECTOR).to_le_bytes());
    core[REST..REST + 8].copy_from_slice(&(CORE_AT / SECTOR + 1).to_le_bytes());
    // The protective table of partitions lies behind the code.
    const CODE: usize = 440;
    disk.write_all_at(&boot[..CODE], 0).unwrap();
    disk.write_all_at(&core, CORE_AT).unwrap();
    std::fs::copy(&image, to).unwrap();
}

/// A disk image without a partition called `boot`.
pub fn write_bad_image(to: &Path) {
    let image = std::fs::File::create(to).unwrap();
    image.set_len(8 << 20).unwrap();
    // coreos-installer takes nothing without a boot sector for an image.
    image.write_all_at(&[0x55, 0xaa], SECTOR - 2).unwrap();
}
