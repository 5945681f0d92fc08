#!/usr/bin/env bash
# build-image.sh DIR: builds the node's disk and what belongs to it from Debian's packages, unless DIR has what this
# recipe makes. As root; 5 minutes the first time, half a minute when only image/ or standins/ changed. Leaves in DIR:
#   metal.raw          a GPT disk with BIOS and UEFI GRUB, partitions and file systems boot and root, laid out for
#                      coreos-installer: ignition.firstboot, loader/entries/, and Ignition's initramfs
#   vmlinuz initrd     the same kernel and initramfs, to start the disk without GRUB
#   keepalived-2.2.7.tar  Debian 12's keepalived as a container archive; the disk has Debian 13's in podman's storage
#   ca.pem ca.key      an authority the node trusts, to play https://get.k3s.io
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
# The image that the shipped inventory names.
preloaded=docker.io/osixia/keepalived:2.0.20
archived=registry.lab.internal/keepalived:2.2.7
results=(metal.raw vmlinuz initrd keepalived-2.2.7.tar ca.pem ca.key)

say() { printf 'node image: %s s: %s\n' "$SECONDS" "$*"; }

# Names and contents, not times: a checkout has its own.
digest() { (cd "$here" && find "$@" -type f | sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1); }

# Whatever is mounted goes with the process.
in_root() {
    local root=$1
    shift
    # shellcheck disable=SC2016 # the inner shell's own variables
    unshare --mount --propagation private bash -euc '
        root=$1; shift
        mount --bind "$root" "$root"; cd "$root"
        mount -t proc proc proc; mount -t sysfs sys sys; mount --bind /dev dev
        mount -t tmpfs run run; mount -t tmpfs tmp tmp
        exec chroot . "$@"' in_root "$root" "$@"
}

bootstrap() {
    local variant=$1 suite=$2 target=$3 packages=$4 log=$dir/mmdebstrap.log
    mmdebstrap --mode=root --variant="$variant" --format=directory --include="$packages" \
        --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        "$suite" "$target" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
        >"$log" 2>&1 || { tail -n 20 "$log" >&2; say "FAILED: mmdebstrap of $suite" >&2; exit 1; }
}

# stage NAME RECIPE: runs build_NAME unless it was built by this recipe.
stage() {
    if [ "$(cat "$dir/$1.recipe" 2>/dev/null)" != "$2" ]; then
        rm -f "$dir/$1.recipe"
        "build_$1"
        echo "$2" >"$dir/$1.recipe"
    fi
}

# The node's programs: what takes minutes.
build_tree() {
    rm -rf "$dir/tree" "$dir/tree.new"
    say "packages of Debian 13"
    # The initramfs of the package is not used.
    INITRD=No bootstrap minbase trixie "$dir/tree.new" "$(grep -v '^#' "$here/image/packages" | paste -sd ,)"
    local root=$dir/tree.new
    # Nobody here has a second network for containers, hardware to look up, or anything to install.
    rm -rf "$root"/usr/lib/cni "$root"/usr/lib/udev/hwdb* "$root"/var/cache/* "$root"/var/lib/apt/lists/* \
        "$root"/usr/share/{info,bash-completion,zsh,lintian,bug}
    mv "$root" "$dir/tree"
}

# Modules of dracut's that a virtual machine with Ignition needs; the network cards of clouds are none of them.
dracut_modules='base bash dracut-systemd systemd systemd-initrd systemd-journald systemd-modules-load systemd-sysctl
    systemd-sysusers systemd-tmpfiles systemd-udevd systemd-networkd network dbus dbus-daemon ignition node kernel-modules
    rootfs-block fs-lib udev-rules shutdown qemu url-lib'

build_initramfs() {
    local root=$dir/tree kernel
    say "initramfs with Ignition"
    cp -a "$here/image/root/usr/lib/dracut" "$root/usr/lib/"
    # Ignition's last stage relabels, whatever the system.
    install -m 755 "$here/image/root/usr/sbin/setfiles" "$root/usr/sbin/setfiles"
    install -D -m 644 "$here/image/root/etc/selinux/config" "$root/etc/selinux/config"
    kernel=$(basename "$root"/usr/lib/modules/*)
    # Hardly compressed: an emulated processor is slower than its disk.
    in_root "$root" dracut --force --no-hostonly --compress 'zstd -3' --no-early-microcode --kver "$kernel" \
        --modules "$(echo "$dracut_modules" | tr -s '\n ' ' ')" \
        --omit-drivers 'mlx4_core mlx4_en mlx5_core mlxfw ena gve idpf ixgbevf ionic mana hv_netvsc hv_vmbus' \
        --drivers 'virtio_net virtio_blk virtio_scsi virtio_pci sd_mod nvme ext4 xfs' \
        --install 'mkfs.xfs mkfs.ext4 sgdisk wipefs useradd usermod groupadd lsblk' \
        /boot/initrd.ignition >"$dir/dracut.log" 2>&1 ||
        { tail -n 20 "$dir/dracut.log" >&2; say 'FAILED: dracut' >&2; exit 1; }
    mv "$root/boot/initrd.ignition" "$dir/initrd"
    chmod 644 "$dir/initrd"
    cp "$root/boot/vmlinuz-$kernel" "$dir/vmlinuz"
}

# container SUITE ROOT: Debian's keepalived, curl and a shell, with their libraries and nothing else, as it is in an image.
container() {
    local suite=$1 root=$2 packages program
    bootstrap extract "$suite" "$dir/extracted" keepalived,curl,dash,base-files
    mkdir -p "$root"/{dev,etc,proc,run,sys,tmp,var,usr/bin,usr/sbin,bin}
    cp -a "$dir/extracted/etc/keepalived" "$root/etc/"
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\n' >"$root/etc/group"
    for program in /usr/sbin/keepalived /usr/bin/curl /bin/sh; do
        cp -L "$dir/extracted$program" "$root$program"
        # Without ldd: nothing of the packages has been configured.
        chroot "$dir/extracted" /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --list "$program" |
            awk '/=> \// { print $3 }' | while read -r library; do
            install -D "$dir/extracted$library" "$root$library"
        done
    done
    install -D "$dir/extracted/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$root/lib64/ld-linux-x86-64.so.2"
    rm -rf "$dir/extracted"
}

# archive ROOT NAME FILE: a container archive as `podman save` writes it.
archive() {
    local root=$1 name=$2 file=$3 work=$dir/archive
    rm -rf "$work" && mkdir "$work"
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" -cf "$work/layer.tar" .
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)" >"$work/config.json"
    printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
    tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$work" -cf "$file" manifest.json config.json layer.tar
    rm -rf "$work"
}

build_containers() {
    rm -rf "$dir"/container-*
    say "keepalived of Debian 12 and 13 as containers"
    container bookworm "$dir/container-bookworm"
    container trixie "$dir/container-trixie"
    archive "$dir/container-bookworm" "$archived" "$dir/keepalived-2.2.7.tar"
    archive "$dir/container-trixie" "$preloaded" "$dir/keepalived-2.3.3.tar"
    rm -rf "$dir"/container-*
}

# What the first boot finds.
furnish() {
    local root=$1
    cp -a "$here/image/root/." "$root/"
    rm -rf "${root:?}"/boot/*
    chown -R root:root "$root/etc/sudoers.d" "$root/usr/sbin"
    chmod 440 "$root"/etc/sudoers.d/*
    # Programs of Fedora CoreOS that Debian has not.
    install -D -m 755 "$here/standins/rpm-ostree" "$root/usr/bin/rpm-ostree"
    install -D -m 755 "$here/standins/rpm" "$root/usr/bin/rpm"
    ln -sf ../usr/lib/os-release.coreos "$root/etc/os-release"
    ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
    # The first boot applies presets, and takes its name from Ignition.
    rm -f "$root"/etc/systemd/system/*.wants/* "$root/etc/hostname"
    echo uninitialized >"$root/etc/machine-id"
    # Nobody sits at the console to answer.
    ln -sf /dev/null "$root/etc/systemd/system/systemd-firstboot.service"
    # A CA of the lab's own.
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=lab' \
        -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
    cp "$dir/ca.pem" "$root/usr/local/share/ca-certificates/lab.crt"
    in_root "$root" update-ca-certificates >/dev/null 2>&1
    cp "$dir/keepalived-2.3.3.tar" "$root/var/keepalived.tar"
    in_root "$root" env PODMAN_IGNORE_CGROUPSV1_WARNING=1 podman load --quiet --input /var/keepalived.tar >/dev/null
    rm -f "$root/var/keepalived.tar"
    # Nothing of /etc and /var is older than /usr: no caches to build in an emulated machine.
    touch "$root/etc/.updated" "$root/var/.updated"
}

mib=$((1 << 20))

# The disk: 1 BIOS boot, 2 EFI-SYSTEM, 3 boot, 4 root, as on Fedora CoreOS.
write_disk() {
    local root=$1 disk=$dir/metal.raw core size_of_root
    # Room for containers and k3s; coreos-installer leaves partitions as they are.
    size_of_root=$(($(du -sxm "$root" | cut -f 1) + 400))
    rm -f "$disk" && truncate -s $(((1 + 1 + 8 + 120 + size_of_root + 1) * mib)) "$disk"
    # The types are those of the specification of discoverable partitions.
    sfdisk --quiet --label gpt "$disk" <<TABLE
start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=BIOS-BOOT
start=2MiB, size=8MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=EFI-SYSTEM
start=10MiB, size=120MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=boot
start=130MiB, size=${size_of_root}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=root
TABLE
    local boot=$dir/boot
    rm -rf "$boot" && cp -a "$here/image/boot" "$boot"
    cp "$dir/vmlinuz" "$dir/initrd" "$boot/"
    cp -r /usr/lib/grub/i386-pc /usr/lib/grub/x86_64-efi "$boot/grub2/"
    mke2fs -q -t ext4 -L boot -d "$boot" -E offset=$((10 * mib)) "$disk" 120M
    mke2fs -q -t ext4 -L root -d "$root" -E offset=$((130 * mib)) "$disk" "${size_of_root}M"
    # What finds the partition; the rest of GRUB is there.
    # shellcheck disable=SC2016 # GRUB's own variables
    printf 'search --no-floppy --label boot --set root\nset prefix=($root)/grub2\nconfigfile $prefix/grub.cfg\n' >"$boot/find.cfg"
    local modules='part_gpt ext2 search search_label configfile normal serial terminal echo test'
    # shellcheck disable=SC2086 # one word a module
    grub-mkimage -O i386-pc -p /grub2 -c "$boot/find.cfg" -o "$boot/core.img" biosdisk $modules
    # shellcheck disable=SC2086
    grub-mkimage -O x86_64-efi -p /grub2 -c "$boot/find.cfg" -o "$boot/BOOTX64.EFI" $modules
    mformat -i "$disk@@$((2 * mib))" -T $((8 * mib / 512)) -h 16 -s 63 ::
    mmd -i "$disk@@$((2 * mib))" ::/EFI ::/EFI/BOOT
    mcopy -i "$disk@@$((2 * mib))" "$boot/BOOTX64.EFI" ::/EFI/BOOT/
    # What grub-bios-setup does: the boot sector knows where the core begins, and its first sector where it goes on.
    core=$((mib / 512))
    dd if="$boot/core.img" of="$disk" bs=512 seek=$core conv=notrunc status=none
    little_endian $((core + 1)) | dd of="$disk" bs=1 seek=$((mib + 0x1f4)) conv=notrunc status=none
    dd if=/usr/lib/grub/i386-pc/boot.img of="$disk" bs=1 count=440 conv=notrunc status=none
    little_endian $core | dd of="$disk" bs=1 seek=$((0x5c)) conv=notrunc status=none
    rm -rf "$boot"
}

# Eight bytes.
little_endian() {
    local number=$1 byte
    for ((byte = 0; byte < 8; byte++)); do
        # shellcheck disable=SC2059 # an escape, made here
        printf "\\x$(printf '%02x' $((number >> (8 * byte) & 255)))"
    done
}

recipe=$(digest build-image.sh image standins/rpm standins/rpm-ostree)
if [ "$(cat "$dir/recipe" 2>/dev/null)" = "$recipe" ] && (cd "$dir" && sha256sum --check --quiet SHA256SUMS); then
    say 'is there'
    exit 0
fi
rm -f "$dir/recipe"
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" { print $2; exit }')
[ -n "$mirror" ] || { say 'FAILED: apt knows no Debian mirror; run apt-get update first' >&2; exit 1; }
stage tree "$(digest image/packages)"
stage containers 'keepalived of Debian 12 and 13'
stage initramfs "$(digest image/packages image/root/usr/lib/dracut)-$(echo "$dracut_modules" | sha256sum | cut -c 1-16)"
say 'disk image'
rm -rf "$dir/root" && cp -a "$dir/tree" "$dir/root"
furnish "$dir/root"
write_disk "$dir/root"
rm -rf "$dir/root"
(cd "$dir" && sha256sum "${results[@]}" >SHA256SUMS)
# Last: it says that all is there.
echo "$recipe" >"$dir/recipe"
say "done, $(du -h "$dir/metal.raw" | cut -f 1) of $(du -h --apparent-size "$dir/metal.raw" | cut -f 1)"
