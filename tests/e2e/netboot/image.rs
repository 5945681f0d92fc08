//! The stand-in for the images of Fedora CoreOS, built once a run: kernel, initramfs, root file system, disk image.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::tools::{command, run, said};

const IGNITION: &str = "/usr/lib/dracut/modules.d/30ignition/ignition";

/// In the order in which they need each other; cloud kernels have NVMe built in.
const MODULES: &[&str] = &[
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/net/virtio_net",
];

/// The names are those of the inventory's section `fcos`.
pub struct Images {
    pub folder: PathBuf,
}

/// What GRUB says on the disk of [`Images`].
pub const STARTED_FROM_DISK: &str = "LAB started from disk";

/// `None` where the kernel was not fetched.
pub fn images() -> Option<&'static Images> {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kernel");
    let vmlinuz = kernel.join("vmlinuz");
    if !crate::tools::have(&[vmlinuz.to_str().unwrap()], true) {
        return None;
    }
    Some(IMAGES.get_or_init(|| build(&kernel)))
}

fn build(kernel: &Path) -> Images {
    // Beside the kernel, so that labs link to the files; replaced by the next run.
    let folder = kernel.join("images");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(kernel.join("vmlinuz"), folder.join("kernel")).unwrap();
    pack(&initramfs(kernel), &folder.join("initramfs.img"), "gzip -1");
    // Not compressed: an emulated processor is slower than its network.
    pack(&rootfs(), &folder.join("rootfs.img"), "cat");
    // The kernel unpacks one archive after the other.
    let mut installed = std::fs::read(folder.join("initramfs.img")).unwrap();
    installed.resize(installed.len().next_multiple_of(4), 0);
    installed.extend(std::fs::read(folder.join("rootfs.img")).unwrap());
    std::fs::write(folder.join("installed.img"), installed).unwrap();
    write_disk_image(&folder);
    Images { folder }
}

/// What iPXE loads is slow to load, so it is only what it takes to fetch the rest.
fn initramfs(kernel: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for below in [
        "bin", "sbin", "usr/bin", "usr/sbin", "proc", "sys", "dev", "run", "tmp", "sysroot", "etc", "modules",
    ] {
        std::fs::create_dir_all(root.join(below)).unwrap();
    }
    install(Path::new("/bin/busybox"), &root.join("bin/busybox"));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/netboot");
    install(&sources.join("init.sh"), &root.join("init"));
    install(&sources.join("dhcp.sh"), &root.join("dhcp.sh"));
    for (number, module) in MODULES.iter().enumerate() {
        let file = kernel.join(format!("modules/{module}.ko"));
        let name = file.file_name().unwrap().to_str().unwrap();
        std::fs::copy(&file, root.join(format!("modules/{number:02}-{name}"))).unwrap();
    }
    folder
}

/// Ignition, what it runs, and curl, each with its libraries.
fn rootfs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for below in ["usr/bin", "usr/sbin", "sbin", "lib/x86_64-linux-gnu", "lib64", "etc/pam.d", "etc/default"]
    {
        std::fs::create_dir_all(root.join(below)).unwrap();
    }
    let programs = [
        (IGNITION, "usr/bin/ignition"),
        ("/usr/bin/curl", "usr/bin/curl"),
        ("/usr/sbin/useradd", "usr/sbin/useradd"),
        ("/usr/sbin/usermod", "usr/sbin/usermod"),
        ("/usr/sbin/groupadd", "usr/sbin/groupadd"),
    ];
    for (from, to) in programs {
        install(Path::new(from), &root.join(to));
        let libraries = run(command("ldd").arg(from), Duration::from_secs(20));
        let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = match library.starts_with("/lib64/") {
                true => root.join(&library[1..]),
                false => root.join("lib/x86_64-linux-gnu").join(Path::new(library).file_name().unwrap()),
            };
            if !to.exists() {
                install(Path::new(library), &to);
            }
        }
    }
    std::fs::copy("/etc/login.defs", root.join("etc/login.defs")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    // Debian's Ignition always relabels at the end, and there is no SELinux here.
    let setfiles = root.join("sbin/setfiles");
    std::fs::write(&setfiles, "#!/bin/sh\ncat >/run/relabelled\n").unwrap();
    std::fs::set_permissions(&setfiles, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn install(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn pack(folder: &tempfile::TempDir, to: &Path, compress: &str) {
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut shell = command("sh");
    shell.current_dir(folder.path());
    shell.args(["-c", &format!("find . | cpio --quiet -o -H newc | {compress} >{}", to.display())]);
    let output = run(&shell, Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
}

const SECTOR: usize = 512;
/// Where the partition begins and how long it is; the installer stores the config behind it.
const PARTITION_AT: usize = 1 << 20;
const PARTITION_SIZE: usize = 63 << 20;

/// What GRUB does once it has found the partition; FCOS' own has more of it.
const GRUB_CFG: &str = "\
serial --unit=0 --speed=115200
terminal_output serial
echo {STARTED_FROM_DISK}
linux /kernel root=/dev/nvme0n1 ignition.firstboot ignition.platform.id=metal console=ttyS0,115200n8
initrd /installed.img
boot
";

/// Makes the disk of an installed machine, of what lies in `folder`: GRUB for both firmwares, and what it starts.
fn write_disk_image(folder: &Path) {
    let modules = "part_msdos fat linux serial terminal echo configfile boot";
    std::fs::write(folder.join("grub.cfg"), GRUB_CFG.replace("{STARTED_FROM_DISK}", STARTED_FROM_DISK))
        .unwrap();
    let commands = [
        "echo 'configfile (hd0,msdos1)/grub.cfg' >embedded.cfg".to_owned(),
        format!("grub-mkimage -O i386-pc -o core.img -p '(hd0,msdos1)/' -c embedded.cfg biosdisk {modules}"),
        format!("grub-mkimage -O x86_64-efi -o BOOTX64.EFI -p '(hd0,msdos1)/' -c embedded.cfg {modules}"),
        format!("truncate -s {} metal.raw", PARTITION_AT + PARTITION_SIZE),
        format!("mformat -i metal.raw@@{PARTITION_AT} -T {} -h 16 -s 63 ::", PARTITION_SIZE / SECTOR),
        format!("mmd -i metal.raw@@{PARTITION_AT} ::/EFI ::/EFI/BOOT"),
        format!("mcopy -i metal.raw@@{PARTITION_AT} BOOTX64.EFI ::/EFI/BOOT/"),
        format!("mcopy -i metal.raw@@{PARTITION_AT} grub.cfg kernel installed.img ::/"),
    ];
    let mut shell = command("sh");
    shell.current_dir(folder).args(["-e", "-c", &commands.join("\n")]);
    let output = run(&shell, Duration::from_secs(60));
    assert!(output.status.success(), "{}", said(&output));
    let core = std::fs::read(folder.join("core.img")).unwrap();
    assert!(core.len() < PARTITION_AT - SECTOR, "{}", core.len());
    let disk = std::fs::OpenOptions::new().write(true).open(folder.join("metal.raw")).unwrap();
    disk.write_all_at(&boot_sector(), 0).unwrap();
    // GRUB's boot sector goes on with the next one.
    disk.write_all_at(&core, SECTOR as u64).unwrap();
}

/// GRUB's, with a table of one active partition that UEFI takes for its own.
fn boot_sector() -> Vec<u8> {
    const TABLE_AT: usize = 446;
    let mut sector = std::fs::read("/usr/lib/grub/i386-pc/boot.img").unwrap();
    sector.truncate(TABLE_AT);
    // Cylinders, heads and sectors are beyond what they can say.
    sector.extend([0x80, 0xfe, 0xff, 0xff, 0xef, 0xfe, 0xff, 0xff]);
    for bytes in [PARTITION_AT, PARTITION_SIZE] {
        sector.extend(((bytes / SECTOR) as u32).to_le_bytes());
    }
    sector.resize(SECTOR - 2, 0);
    sector.extend([0x55, 0xaa]);
    sector
}
