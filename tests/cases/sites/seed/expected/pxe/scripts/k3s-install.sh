#!/bin/sh
# k3s-install.sh server|agent: installs and starts k3s v1.32.5+k3s1, which reads /etc/rancher/k3s/config.yaml.
# Exit status 0: k3s runs. k3s-install.service runs it until then; it may be run again.
set -eu

# Seconds until k3s must have started: a server on a slow disk takes one or two minutes, and one that joins waits until
# somebody holds the VIP. What takes longer is reported, and waited for again.
start_limit=300

case ${1-} in
server) unit=k3s.service ;;
agent) unit=k3s-agent.service ;;
*)
    echo "usage: k3s-install.sh server|agent" >&2
    exit 2
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# download URL FILE: gives up on an address that does not answer and on a transfer that stands still, and tries again.
download() {
    curl --fail --silent --show-error --location --connect-timeout 10 --speed-limit 1 --speed-time 60 \
        --retry 10 --retry-delay 5 --retry-connrefused --output "$2" "$1"
}

# To a file first: a download that breaks off must not be run in part.
download https://get.k3s.io "$work/install.sh"
# Every node the same release.
export INSTALL_K3S_VERSION='v1.32.5+k3s1'

# What k3s' own script (k3s-io/k3s, install.sh) would do by itself, and must not:
# - layer k3s-selinux with rpm-ostree, which needs a reboot and two more servers on the internet (setup_selinux);
# - start nothing, and exit 0: its default where it has layered (`: "${INSTALL_K3S_SKIP_START:=true}"`), and where
#   nothing has changed since the last try (service_enable_and_start).
# So it starts nothing, anywhere, and this script does.
export INSTALL_K3S_SKIP_SELINUX_RPM=true INSTALL_K3S_SKIP_START=true INSTALL_K3S_BIN_DIR=/usr/local/bin
# All settings stand in config.yaml, and only there.
INSTALL_K3S_EXEC="$1" sh "$work/install.sh"

# The label of the place, which is what selinux-context.service restores at each boot. k3s' script moves a download here
# with the label of /tmp, which systemd may not execute, and sets none itself when it layers nothing.
if command -v restorecon >/dev/null; then
    restorecon /usr/local/bin/k3s
fi

# Without waiting: its unit has no limit of its own (TimeoutStartSec=0).
systemctl start --no-block "$unit"
waited=0
until systemctl is-active --quiet "$unit"; do
    if [ "$waited" -ge "$start_limit" ]; then
        # For the report of this unit, which has its last lines.
        journalctl --unit "$unit" --lines 5 --output cat --no-pager >&2 || true
        echo "k3s-install.sh: $unit is not active after $start_limit s; journalctl -u $unit says why" >&2
        exit 1
    fi
    sleep 2
    waited=$((waited + 2))
done
