#!/usr/bin/env bash
# fetch-live.sh DIR: builds a live system that stands in for Fedora CoreOS' in the boot lab: DIR/kernel, initramfs.img and
# rootfs.img, and DIR/coreos-installer, unless they are there and built by these files. As root, on Debian; 5 minutes.
#
# Real: coreos-installer of the Rust registry with its own units, generator and service script, Ignition, systemd, dracut
# and a kernel of Debian 13. Ours: live/, and systemd-networkd in NetworkManager's place.
set -euo pipefail
dir=$1
here=$(cd "$(dirname "$0")" && pwd)
installer=0.27.0
suite=trixie
is=$(cat "$0" "$here"/live/* | sha256sum)
[ "$(cat "$dir/built-by" 2>/dev/null)" != "$is" ] || exit 0
[ "$(id -u)" -eq 0 ] || { echo "fetch-live.sh: only root makes a Debian system" >&2; exit 1; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$(mktemp -d "$dir/work.XXXXXX")
mounts=$work/mounts
cleanup() {
    [ ! -e "$mounts" ] || while read -r mounted; do umount -l "$mounted"; done <"$mounts"
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

# Not optimized much: what takes time is the emulated processor's boot, not the installer.
if [ "$(cat "$dir/crate/version" 2>/dev/null)" != "$installer" ]; then
    CARGO_TARGET_DIR=$work/build CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=false \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --version "$installer" --root "$work/installer" coreos-installer
    rm -rf "$work/build" "$dir/crate"
    mkdir "$dir/crate"
    strip -o "$dir/coreos-installer" "$work/installer/bin/coreos-installer"
    cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/coreos-installer-"$installer"/{scripts,systemd} "$dir/crate/"
    echo "$installer" >"$dir/crate/version"
fi

root=$work/root
# shellcheck disable=SC2016 # apt-get fills them in
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" { print $2; exit }')
mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --include=systemd-sysv,dbus,udev,kmod,busybox-static,curl,ca-certificates,gdisk,passwd,linux-image-cloud-amd64,dracut,dracut-network,ignition,libssl3t64,zstd \
    "$suite" "$root" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"

install -m 755 "$dir/coreos-installer" "$root/usr/bin/"
install -m 755 -D -t "$root/usr/libexec" "$dir"/crate/scripts/coreos-installer-*
install -m 644 -t "$root/usr/lib/systemd/system" "$dir"/crate/systemd/*.service "$dir"/crate/systemd/*.target
install -m 755 -t "$root/usr/lib/systemd/system-generators" "$dir/crate/systemd/coreos-installer-generator"
# Fedora CoreOS enables what its presets name, at the first boot of each machine; a live system's is always the first.
rm -f "$root"/etc/systemd/system/*.wants/*
echo 'enable systemd-networkd.service' >"$root/usr/lib/systemd/system-preset/05-live.preset"
echo 'disable *' >"$root/usr/lib/systemd/system-preset/99-live.preset"
echo uninitialized >"$root/etc/machine-id"
printf '[Match]\nType=ether\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/20-dhcp.network"
: >"$root/etc/hostname"
: >"$root/etc/fstab"
: >"$root/etc/resolv.conf"
mkdir -p "$root/etc/selinux" "$root/etc/lvm"
# Fedora CoreOS has LVM, and the installer's first unit adds to this file.
: >"$root/etc/lvm/lvm.conf"
# Debian's Ignition always reads it.
echo SELINUXTYPE=targeted >"$root/etc/selinux/config"

# Debian's systemd reads all of the kernel's types when it finds libbpf, half a minute in an emulated processor. BusyBox'
# ip does without.
rm -f "$root"/usr/lib/x86_64-linux-gnu/libbpf.so.*
ln -sf busybox "$root/usr/bin/ip"
# Nothing to be done after an update of /usr (systemd-update-done.service(8)).
touch "$root/etc/.updated" "$root/var/.updated"

kernel=$(basename "$root"/lib/modules/*)
# Not compressed much: an emulated processor is slower than its network. Modules come with the initramfs.
(cd "$root" && mksquashfs . "$work/root.squashfs" -quiet -no-progress -comp lz4 -e boot usr/lib/modules usr/lib/dracut \
    usr/lib/apt usr/bin/perl usr/share/perl5 usr/share/zoneinfo usr/lib/udev/hwdb.bin usr/lib/udev/hwdb.d var/cache var/lib/apt var/lib/dpkg)
(cd "$work" && echo root.squashfs | cpio --quiet --reproducible -o -H newc) >"$work/rootfs.img"

module=$root/usr/lib/dracut/modules.d/35live
mkdir "$module"
cp "$here"/live/* "$module/"
chmod 755 "$module"/*.sh
sha256sum "$work/rootfs.img" | cut -d ' ' -f 1 >"$module/want-rootfs"
for bound in dev proc sys; do
    mount --bind "/$bound" "$root/$bound"
    echo "$root/$bound" >>"$mounts"
done
# Small is quick, and it is for one kind of machine.
chroot "$root" dracut --quiet --force --no-hostonly --no-hostonly-cmdline --compress 'zstd -3' --add live \
    --drivers 'loop squashfs overlay ext4 virtio_net virtio_pci virtio_rng' --omit 'btrfs hwdb i18n kernel-modules-extra nvdimm' \
    --kver "$kernel" /boot/initramfs.img
cp "$root/boot/vmlinuz-$kernel" "$dir/kernel"
cp "$root/boot/initramfs.img" "$dir/initramfs.img"
mv "$work/rootfs.img" "$dir/rootfs.img"
chmod 644 "$dir"/*.img
# Last: it says that all is there.
echo "$is" >"$dir/built-by"
