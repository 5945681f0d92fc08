#!/bin/bash
# As coreos-livepxe-rootfs and the live generator of Fedora CoreOS: waits for the server with HEAD, fetches the root file
# system, compares it with the hash that the initramfs has of it, mounts it. Other than there, all of it is writable by
# an overlay in memory, not only /etc and /var.
set -euo pipefail
url=
for argument in $(</proc/cmdline); do
    case $argument in coreos.live.rootfs_url=*) url=${argument#*=} ;; esac
done
[ -n "$url" ] || { echo "no coreos.live.rootfs_url" && exit 1; }
until curl --head --silent --show-error --output /dev/null "$url"; do
    echo "no answer from $url; trying again in 5 s"
    sleep 5
done
mkdir -p /run/live
mount -t tmpfs -o size=80% live /run/live
mkdir /run/live/lower /run/live/upper /run/live/work
curl --fail --silent --show-error --retry 5 --output /run/live/rootfs.img "$url"
sha256=$(sha256sum /run/live/rootfs.img)
[ "${sha256%% *}" = "$(</etc/coreos-live-want-rootfs)" ] || { echo "$url is not the rootfs of this initramfs" && exit 1; }
# A cpio archive of one file, whose header takes 124 bytes: Fedora CoreOS mounts that of its ISO in the same way.
mount -t squashfs -o loop,ro,offset=124 /run/live/rootfs.img /run/live/lower
mount -t overlay -o lowerdir=/run/live/lower,upperdir=/run/live/upper,workdir=/run/live/work live /sysroot
# The installer mounts the boot partition, and the root file system has no modules.
modprobe -a ext4
echo "live root file system mounted"
