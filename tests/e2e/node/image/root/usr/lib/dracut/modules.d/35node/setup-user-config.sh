#!/bin/bash
# Copies the config that coreos-installer wrote to where Ignition looks for the user's.
set -euo pipefail
mkdir -p /run/boot-partition
mount -o ro /dev/disk/by-label/boot /run/boot-partition
if [ -f /run/boot-partition/ignition/config.ign ]; then
    cp /run/boot-partition/ignition/config.ign /run/ignition-user.ign
fi
umount /run/boot-partition
