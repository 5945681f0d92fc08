#!/bin/busybox sh
# Process 1 of the boot lab's machines: plays Fedora CoreOS, live and installed, as far as pxe-serve is concerned.
# What is real in it and what is not: mod.rs. Each line that a test reads begins with LAB.
# shellcheck shell=dash

ROOT=/sysroot
# Where on the disk the installer puts the config, behind what the image may hold. Real: /boot/ignition/config.ign.
CONFIG_AT_MIB=64
# Real Ignition reads it as the user's config; /config.ign gets there in coreos-ignition-setup-user.
USER_CONFIG=/usr/lib/ignition/user.ign

say() { echo "LAB $*"; }
seconds_up() { cut -d ' ' -f 1 /proc/uptime; }
# The last one counts, as in dracut's getarg and coreos-installer's karg.
argument() { tr ' ' '\n' </proc/cmdline | sed -n "s|^$1=||p" | tail -n 1; }
has_argument() { tr ' ' '\n' </proc/cmdline | grep -qx "$1"; }
# Of a YAML file with one KEY: VALUE a line.
value() { sed -n "s/^$1: *//p" "$2" | sed 's/^"\(.*\)"$/\1/' | tail -n 1; }

# The real one leaves a shell on the console and waits for somebody.
fail() {
    say "failed: $*"
    poweroff -f
    sleep 60
}

start() {
    /bin/busybox --install -s /bin
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t devtmpfs dev /dev
    mount -t tmpfs run /run
    mount -t tmpfs root $ROOT
    say "kernel up $(seconds_up) s, arguments: $(cat /proc/cmdline)"
    for module in /modules/*.ko; do insmod "$module"; done
}

network() {
    ip link set lo up
    tries=0
    while [ ! -e /sys/class/net/eth0 ] && [ $tries -lt 50 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    ip link set eth0 up
    udhcpc -i eth0 -s /dhcp.sh -n -q -t 20 -T 1 || fail "no address by DHCP"
}

# As coreos-livepxe-rootfs: HEAD until the server is there, then GET.
fetch_rootfs() {
    tries=0
    until head_of "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 30 ] || fail "no HEAD of $1"
        sleep 1
    done
    (cd / && { fetch "$1" | cpio -iu || fail "rootfs"; })
    say "rootfs unpacked $(seconds_up) s"
}

# BusyBox' wget knows no HEAD.
head_of() {
    where=${1#http://}
    server=${where%%/*}
    port=${server##*:}
    [ "$port" != "$server" ] || port=80
    printf 'HEAD /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "${where#*/}" "$server" |
        nc -w 5 "${server%:*}" "$port" | grep -q '^HTTP/1.1 200'
}

# curl --retry 5 there, --fetch-retries infinite in coreos-installer-service.
fetch() {
    tries=0
    until wget -q -O /run/fetched "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 30 ] || return 1
        sleep 1
    done
    cat /run/fetched
}

# The real Ignition on the real kernel command line.
ignite() {
    # Debian's build always relabels at the end, and its useradd wants files.
    mkdir -p $ROOT/etc/selinux $ROOT/home
    echo SELINUXTYPE=targeted >$ROOT/etc/selinux/config
    cp /etc/passwd /etc/group /etc/login.defs $ROOT/etc/
    : >$ROOT/etc/shadow
    : >$ROOT/etc/gshadow
    for stage in fetch files; do
        ignition --root $ROOT --platform metal --fetch-timeout 60s --stage $stage --log-to-stdout >/run/$stage.log 2>&1 || {
            tail -n 5 /run/$stage.log
            fail "Ignition's stage $stage"
        }
    done
    say "Ignition done $(seconds_up) s"
    # Without the query, and the hash of all of it: long lines wrap on some consoles.
    find $ROOT -type f | sort | while read -r file; do
        say "file $(stat -c '%a %U' "$file") ${file#"$ROOT"} $(sha512sum "$file" | cut -d ' ' -f 1)"
    done
    sed 's/^/LAB preset /' $ROOT/etc/systemd/system-preset/* 2>/dev/null
}

# Real: switch-root. What Ignition has written finds sh and curl where it expects them.
in_root() {
    for folder in bin usr/bin lib lib64 dev proc; do
        mkdir -p $ROOT/$folder
        mountpoint -q $ROOT/$folder || mount --bind /$folder $ROOT/$folder
    done
    chroot $ROOT /bin/sh -c "$1"
}

# The commands that a unit or a drop-in of it gives for KEY, as systemd would run them: without the prefix, unescaped.
commands_of() {
    cat $ROOT/etc/systemd/system/"$2" $ROOT/etc/systemd/system/"$2".d/*.conf 2>/dev/null |
        sed -n "s/^$1=-\{0,1\}//p" | sed 's/%%/%/g; s/\$\$/$/g'
}

# Conditions are not looked at.
run_unit() {
    commands=$(commands_of ExecStart "$1")
    [ -n "$commands" ] || return 0
    if in_root "$commands"; then say "unit $1 ok"; else say "unit $1 failed"; fi
}

# coreos-installer.service is over.
installer_is_over() {
    commands=$(commands_of ExecStopPost coreos-installer.service)
    [ -n "$commands" ] || return 0
    if in_root "export SERVICE_RESULT=$1 EXIT_CODE=exited EXIT_STATUS=$2; $commands"; then
        say "reported $1"
    else
        say "could not report $1"
    fi
}

install() {
    destination=$(argument coreos.inst.install_dev)
    image=$(argument coreos.inst.image_url)
    config=$(argument coreos.inst.ignition_url)
    hash=
    for file in "$ROOT"/etc/coreos/installer.d/*.yaml; do
        [ -f "$file" ] || continue
        say "installer config ${file#"$ROOT"}"
        # Keys are coreos-installer's long options; the device may not be given twice.
        if grep -vE '^(#.*|(image-url|ignition-url|ignition-hash|insecure|append-karg|copy-network|fetch-retries):.*|  *-.*|)$' "$file"; then
            installer_is_over exit-code 1
            fail "options that coreos-installer does not know or has already"
        fi
        config=$(value ignition-url "$file")
        hash=$(value ignition-hash "$file")
        image=$(value image-url "$file")
    done
    if ! write_disk; then
        installer_is_over exit-code 1
        fail "the installer: $why"
    fi
    say "installed to $destination $(seconds_up) s"
    installer_is_over success 0
    sync
    say "restarts"
    reboot -f
    sleep 60
}

write_disk() {
    why="$destination is no disk"
    [ -b "$destination" ] || return 1
    why="no config from $config"
    fetch "$config" >/run/config.ign || return 1
    if [ -n "$hash" ]; then
        why="the config is not $hash"
        [ "sha512-$(sha512sum /run/config.ign | cut -d ' ' -f 1)" = "$hash" ] || return 1
        say "config verified by its sha512"
    fi
    # Without image-url the real one asks the internet for its image; the lab has none.
    if [ -n "$image" ]; then
        why="no image from $image"
        fetch "$image" >/run/image || return 1
        dd if=/run/image of="$destination" bs=1M conv=notrunc 2>/dev/null || return 1
    fi
    { printf '%-1024s' "IGNITION $(stat -c %s /run/config.ign)"; cat /run/config.ign; } >/run/stored
    dd if=/run/stored of="$destination" bs=1M seek=$CONFIG_AT_MIB conv=notrunc 2>/dev/null || return 1
}

live() {
    fetch_rootfs "$(argument coreos.live.rootfs_url)"
    if [ -f /config.ign ]; then
        say "config.ign $(sha512sum /config.ign | cut -d ' ' -f 1)"
        mkdir -p ${USER_CONFIG%/*}
        cp /config.ign $USER_CONFIG
    fi
    if has_argument ignition.firstboot; then ignite; fi
    if [ -n "$(argument coreos.inst.install_dev)" ]; then install; fi
}

# The first boot from disk.
installed() {
    disk=$(argument root)
    mkdir -p ${USER_CONFIG%/*}
    dd if="$disk" bs=1M skip=$CONFIG_AT_MIB count=2 of=/run/stored 2>/dev/null || fail "no disk $disk"
    size=$(head -c 1024 /run/stored | sed -n 's/^IGNITION \([0-9]*\) *$/\1/p')
    [ -n "$size" ] || fail "nothing was installed on $disk"
    tail -c +1025 /run/stored | head -c "$size" >$USER_CONFIG
    ignite
    run_unit pxe-serve-booted.service
}

export PATH=/bin:/sbin:/usr/bin:/usr/sbin
start
network
if [ -n "$(argument coreos.live.rootfs_url)" ]; then live; else installed; fi
say "done $(seconds_up) s"
poweroff -f
