//! Nodes: virtual machines with real systemd, podman, sshd and Ignition, from their first boot on.
//!
//! Real: pxe-serve, dnsmasq with the rendered configuration, a Linux kernel, Ignition in an initramfs of dracut's with
//! the disks it is told, presets, systemd and everything it starts, podman, keepalived in a container, curl, GRUB, ssh.
//!
//! Stand-in, each with a table of the facts it imitates: k3s ([`standins/k3s`]), its installer and the hosts of the
//! internet that are asked for it, rpm-ostree and rpm. The operating system is Debian 13 with Fedora CoreOS' os-release:
//! networkd where that has NetworkManager, no SELinux, no ostree. `docs/proof.md` says what follows from that.
//!
//! A boot costs one or two minutes of an emulated processor, so a test looks at many things of one. `./check` runs one
//! node; the others need `PXE_SERVE_E2E_ALL`, and say so.
//!
//! [`standins/k3s`]: ../standins/k3s

mod keepalived;
mod lab;
mod machine;
mod mission;
mod single;
mod standin;

use std::path::{Path, PathBuf};

/// Whether the longer tests are: `./check --all` sets this. Says so when not.
fn wanted() -> bool {
    let all = std::env::var_os("PXE_SERVE_E2E_ALL").is_some();
    if !all {
        eprintln!("SKIPPED: one of the longer tests; ./check --all runs it (PXE_SERVE_E2E_ALL=1)");
    }
    all
}

/// Where `build-image.sh` leaves the disk.
fn image() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node")
}

/// Where `fetch-live.sh` leaves the live system with coreos-installer.
fn live() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/live")
}

const PROGRAMS: &[&str] = &[
    "qemu-system-x86_64",
    "qemu-img",
    "/usr/lib/ipxe/qemu/pxe-virtio.rom",
    "/usr/lib/ipxe/undionly.kpxe",
    "dnsmasq",
    "ip",
    "unshare",
    "nsenter",
    "setpriv",
    "nice",
    "curl",
    "openssl",
    "python3",
    "ssh",
    "ssh-keygen",
];
