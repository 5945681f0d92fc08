#!/bin/bash
# Ignition's platform "metal" reads the user's config from the initramfs; coreos-installer leaves it on the partition
# labelled boot. What brings it over is Fedora CoreOS' coreos-ignition-setup-user.service.
# shellcheck disable=SC2154 # dracut's variables

depends() { echo ignition; }

install() {
    inst_script "$moddir/setup-user-config.sh" /usr/sbin/setup-user-config
    inst_simple "$moddir/setup-user-config.service" "$systemdsystemunitdir/setup-user-config.service"
    # systemd mounts /usr read-only for what it starts.
    mkdir -p "$initdir/usr/lib/ignition"
    ln -s /run/ignition-user.ign "$initdir/usr/lib/ignition/user.ign"
    mkdir -p "$initdir/$systemdsystemunitdir/ignition-complete.target.requires"
    ln_r ../setup-user-config.service "$systemdsystemunitdir/ignition-complete.target.requires/setup-user-config.service"
}
