#!/bin/sh
# A stand-in for what https://get.k3s.io answers: our own script, which does what the facts below say. It layers, skips the
# start and exits 0 where the real one does, so that a test fails when somebody forgets it.
#
# Facts, from k3s-io/k3s install.sh at 0136cf2589 (2026), by its functions:
#
# | where                         | what it does                                                                      |
# | setup_env                     | the first word of INSTALL_K3S_EXEC is the command; the unit is k3s for server, k3s-agent for agent; binaries go to INSTALL_K3S_BIN_DIR, else /usr/local/bin if it can be written, else /opt/bin if it is there |
# | download_and_verify           | with INSTALL_K3S_SKIP_DOWNLOAD true or binary it only wants BIN_DIR/k3s to be executable; else it compares with the release's sha256sum-ARCH.txt, and downloads unless that is what is there |
# | setup_binary                  | moves the binary there from a temporary folder: with SELinux it keeps the label of that folder |
# | setup_selinux                 | does nothing, and labels nothing, with INSTALL_K3S_SKIP_SELINUX_RPM=true, with INSTALL_K3S_SKIP_DOWNLOAD true or selinux, or without /usr/share/selinux |
# | get_k3s_selinux_version       | else asks api.github.com, with 5 s a try, and goes on without an answer            |
# | install_selinux_rpm           | on systems of RPM (a release file of Red Hat's family in /etc, or ID_LIKE suse) writes a repository of rpm.rancher.io, and |
# |   VARIANT_ID=coreos (rpm-ostree) | `rpm-ostree --idempotent install -y k3s-selinux`: there after a reboot; INSTALL_K3S_SKIP_START becomes true unless it is set (`:=`) |
# |   SLE Micro (transactional-update) | the same with transactional-update, and INSTALL_K3S_SKIP_START the same        |
# |   others                      | yum, dnf or zypper install it at once                                             |
# | setup_selinux, after it       | chcon; that it fails is a warning on coreos, else fatal where /etc/selinux/config says enforcing |
# | systemd_disable               | disables the unit and removes its file, each time                                 |
# | create_systemd_service_file   | Type=notify, KillMode=process, Delegate=yes, Restart=always, RestartSec=5s, TimeoutStartSec=0 |
# | service_enable_and_start      | enables; starts nothing with INSTALL_K3S_SKIP_START=true, nor when binary, unit and environment are those of before, unless INSTALL_K3S_FORCE_RESTART=true; else restarts, which waits until k3s says that it is ready |
#
# Seen with the real text as well: `VARIANT_ID=coreos` without settings ends with status 0 and no start. Debian has no
# release file and no /usr/share/selinux, Flatcar (ID=flatcar) neither, and a /usr/local/bin that is read-only.
set -eu

say() { printf '[INFO]  %s\n' "$*"; }
die() { printf '[ERROR]  %s\n' "$*" >&2; exit 1; }

# shellcheck disable=SC2086 # words
set -- ${INSTALL_K3S_EXEC-} "$@"
command=${1-server}
[ $# -eq 0 ] || shift
case $command in
server) unit=k3s ;;
*) unit=k3s-$command ;;
esac

bin=${INSTALL_K3S_BIN_DIR-}
if [ -z "$bin" ]; then
    bin=/usr/local/bin
    if ! (: >"$bin/.k3s-write-test") 2>/dev/null && [ -d /opt/bin ]; then
        bin=/opt/bin
    fi
    rm -f "$bin/.k3s-write-test"
fi
service=/etc/systemd/system/$unit.service
skip_download=${INSTALL_K3S_SKIP_DOWNLOAD-}

state() { sha256sum "$bin/k3s" "$service" "$service.env" 2>&1 || true; }
before=$(state)

# The binary.
if [ "$skip_download" = true ] || [ "$skip_download" = binary ]; then
    say 'Skipping k3s download and verify'
    [ -x "$bin/k3s" ] || die "Executable k3s binary not found at $bin/k3s"
else
    case $(uname -m) in
    x86_64) arch=amd64 suffix='' ;;
    aarch64) arch=arm64 suffix=-arm64 ;;
    *) die "Unsupported architecture $(uname -m)" ;;
    esac
    release=https://github.com/k3s-io/k3s/releases/download/${INSTALL_K3S_VERSION:?a version, always}
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    curl -o "$work/sums" -sfL "$release/sha256sum-$arch.txt" || die 'Download failed'
    expected=$(sed -n "s/ *k3s$suffix\$//p" "$work/sums")
    if [ -x "$bin/k3s" ] && [ "$(sha256sum <"$bin/k3s")" = "$expected  -" ]; then
        say 'Skipping binary downloaded, installed k3s matches hash'
    else
        curl -o "$work/k3s" -sfL "$release/k3s$suffix" || die 'Download failed'
        [ "$(sha256sum <"$work/k3s")" = "$expected  -" ] || die "Download sha256 does not match $expected"
        chmod 0755 "$work/k3s"
        mv -f "$work/k3s" "$bin/k3s"
    fi
fi

# SELinux.
ID='' ID_LIKE='' VARIANT_ID='' OSTREE_VERSION=''
if [ -r /etc/os-release ]; then
    # shellcheck source=/dev/null
    . /etc/os-release
fi
is_ostree() { [ "$VARIANT_ID" = coreos ] || [ "$VARIANT_ID" = iot ] || { [ "$ID" = fedora ] && [ -n "$OSTREE_VERSION" ]; }; }
is_suse() { case $ID_LIKE in suse*) true ;; *) false ;; esac; }
has_release_file() {
    for name in redhat centos oracle fedora system; do
        [ ! -r "/etc/$name-release" ] || return 0
    done
    is_suse
}
if [ "${INSTALL_K3S_SKIP_SELINUX_RPM-}" = true ] || [ "$skip_download" = true ] || [ "$skip_download" = selinux ] ||
    [ ! -d /usr/share/selinux ]; then
    say 'Skipping installation of SELinux RPM'
else
    timeout 5 curl -s https://api.github.com/repos/k3s-io/k3s-selinux/releases/latest >/dev/null || true
    if has_release_file; then
        repositories=/etc/yum.repos.d
        [ ! -d /etc/zypp/repos.d ] || repositories=/etc/zypp/repos.d
        echo '# the stand-in: rpm.rancher.io/k3s/stable' >"$repositories/rancher-k3s-common.repo"
        if is_suse && [ -x /usr/sbin/transactional-update ]; then
            : "${INSTALL_K3S_SKIP_START:=true}"
            transactional-update --no-selfupdate -d run zypper --gpg-auto-import-keys install -y k3s-selinux
        elif is_suse; then
            zypper --gpg-auto-import-keys install -y k3s-selinux
        elif is_ostree; then
            : "${INSTALL_K3S_SKIP_START:=true}"
            rpm-ostree --idempotent install -y k3s-selinux
        else
            dnf install -y k3s-selinux
        fi
    fi
    if ! chcon -u system_u -r object_r -t container_runtime_exec_t "$bin/k3s" >/dev/null 2>&1 &&
        grep -q '^ *SELINUX=enforcing' /etc/selinux/config 2>/dev/null; then
        [ "$VARIANT_ID" = coreos ] || die "Failed to apply container_runtime_exec_t to $bin/k3s"
        echo "[WARN]  Failed to apply container_runtime_exec_t to $bin/k3s" >&2
    fi
fi

# The unit, anew each time.
systemctl disable "$unit" >/dev/null 2>&1 || true
rm -f "$service" "$service.env"
(umask 077 && env | grep -E '^(K3S|CONTAINERD)_' >"$service.env") || true
cat >"$service" <<UNIT
[Unit]
Description=Lightweight Kubernetes (a stand-in's unit)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
EnvironmentFile=-$service.env
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStart=$bin/k3s $command $*

[Install]
WantedBy=multi-user.target
UNIT

[ "${INSTALL_K3S_SKIP_ENABLE-}" != true ] || exit 0
say "systemd: Enabling $unit unit"
systemctl enable "$service" >/dev/null
systemctl daemon-reload >/dev/null
[ "${INSTALL_K3S_SKIP_START-}" != true ] || exit 0
if [ "$before" = "$(state)" ] && [ "${INSTALL_K3S_FORCE_RESTART-}" != true ]; then
    say 'No change detected so skipping service start'
    exit 0
fi
say "systemd: Starting $unit"
systemctl restart "$unit"
