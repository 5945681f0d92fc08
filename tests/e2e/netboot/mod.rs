//! Machines that boot over the network from the real server, through a router that runs the rendered configuration.
//!
//! Real: pxe-serve, its dnsmasq configuration in dnsmasq, the firmware (SeaBIOS with the network card's iPXE; OVMF with
//! PXE and HTTP Boot, and ipxe.efi), the boot scripts in iPXE, a Linux kernel, DHCP in it, Ignition with the kernel's
//! own command line, GRUB on the disk for both firmwares, curl as the reporting units run it.
//!
//! Stand-in: Fedora CoreOS. [`image`] builds a kernel, an initramfs and a root file system whose process 1, `init.sh`,
//! does what FCOS' dracut modules, systemd and coreos-installer do with what pxe-serve gives them, and prints it. The
//! installed system is the same kernel and process again, started by GRUB, with the config that the installer stored on
//! the disk.
//!
//! Nothing leaves the namespace that a lab makes; it ends with the processes in it, which end with the test.

mod boots;
mod image;
mod lab;
mod machine;
mod node;
mod troubles;

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
