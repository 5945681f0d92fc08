#!/bin/bash
# dracut module of the live system: what Fedora CoreOS' own initramfs has besides Ignition (its 35coreos-live and
# 35coreos-ignition), in its order.
# shellcheck disable=SC2154 # dracut's variables: moddir, initdir, systemdsystemunitdir

depends() { echo ignition systemd-networkd; }

installkernel() { instmods loop squashfs overlay ext4 virtio_net virtio_pci virtio_rng; }

install() {
    inst_multiple curl sha256sum mount losetup modprobe
    inst_script "$moddir/live-rootfs.sh" /usr/sbin/live-rootfs
    inst_simple "$moddir/live-rootfs.service" "$systemdsystemunitdir/live-rootfs.service"
    inst_simple "$moddir/want-rootfs" /etc/coreos-live-want-rootfs
    inst_hook cmdline 30 "$moddir/live-root-ok.sh"
    mkdir -p "$initdir/$systemdsystemunitdir/initrd-root-fs.target.requires" "$initdir/usr/lib/ignition"
    ln -s ../live-rootfs.service "$initdir/$systemdsystemunitdir/initrd-root-fs.target.requires/"
    # An appended initrd's /config.ign is the user's config: coreos-ignition-setup-user copies it.
    ln -s /config.ign "$initdir/usr/lib/ignition/user.ign"
    # No root disk to wait for, as Ignition's generator asks.
    printf '#!/bin/sh\nexit 0\n' >"$initdir/usr/bin/is-live-image"
    # An emulated processor takes long to clear huge pages.
    echo 'w /sys/kernel/mm/transparent_hugepage/enabled - - - - never' >"$initdir/usr/lib/tmpfiles.d/live.conf"
    # Debian's Ignition relabels at its end, and there is no SELinux here.
    printf '#!/bin/sh\ncat >/dev/null\n' >"$initdir/usr/sbin/setfiles"
    chmod 755 "$initdir/usr/bin/is-live-image" "$initdir/usr/sbin/setfiles"
}
