//! Machines that boot over the network from the real server, through a router that runs the rendered configuration.
//!
//! Real: pxe-serve, its dnsmasq configuration in dnsmasq, the firmware (SeaBIOS with the network card's iPXE; OVMF with
//! PXE and HTTP Boot, and ipxe.efi), the boot scripts in iPXE, a Linux kernel, DHCP in it, Ignition with the kernel's
//! own command line, GRUB on the disk for both firmwares, curl as the reporting units run it.
//!
//! Stand-in: Fedora CoreOS, of two kinds. What each imitates:
//!
//! | Fedora CoreOS | [`live`], for [`installer`] | [`image`], for [`boots`] and [`troubles`] |
//! |---|---|---|
//! | coreos-installer, its units, generator and service script | real, 0.27.0 | `init.sh`: its options, its order, its end |
//! | systemd, `ExecStartPre=`, `ExecStopPost=`, emergency target | real, Debian 13 | `init.sh` runs the lines; conditions and prefixes not looked at |
//! | Ignition in the initramfs | real, as units of dracut | real, called by `init.sh` |
//! | `/config.ign` is the user's config (`coreos-ignition-setup-user`) | a link | a copy |
//! | the rootfs: HEAD until the server is there, GET, its hash | `live-rootfs.sh`, mounted with an overlay over all of it | unpacked into memory, no hash |
//! | NetworkManager | systemd-networkd, by `ip=` of the command line in the initramfs | udhcpc |
//! | the emergency shell | systemd's own | power off |
//! | SELinux, ostree, osmet, Zincati | none | none |
//! | the installed system | GRUB says that it started | the same kernel and process again, with the config that was stored |
//!
//! Nothing leaves the namespace that a lab makes; it ends with the processes in it, which end with the test.

mod boots;
mod image;
mod installer;
mod lab;
mod live;
mod machine;
mod node;
mod troubles;

/// Longer forms of what other tests show: for `./check --all`.
fn runs_all() -> bool {
    let all = std::env::var_os("PXE_SERVE_E2E_ALL").is_some();
    if !all {
        eprintln!("SKIPPED: only ./check --all boots this machine");
    }
    all
}

const PROGRAMS: &[&str] = &[
    "qemu-system-x86_64",
    "dnsmasq",
    "ip",
    "unshare",
    "nsenter",
    "setpriv",
    "nice",
    "curl",
    "cpio",
    "gzip",
    "ldd",
    "useradd",
    "/bin/busybox",
    "/usr/lib/dracut/modules.d/30ignition/ignition",
    "/usr/lib/ipxe/undionly.kpxe",
    "/usr/lib/ipxe/ipxe.efi",
    "/usr/lib/ipxe/snponly.efi",
    "/usr/lib/ipxe/qemu/pxe-virtio.rom",
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "grub-mkimage",
    "/usr/lib/grub/i386-pc/boot.img",
    "/usr/lib/grub/x86_64-efi/moddep.lst",
    "mformat",
];
