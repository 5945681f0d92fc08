#!/bin/sh
# k3s-install.sh server|agent: installs and starts k3s v1.37.0+k3s1, which reads /etc/rancher/k3s/config.yaml.
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

# name_the_ca server|agent: a node that joins gets its token in the full form, if pxe-serve knows the hash of the cluster's
# CA. k3s then checks the CA before it sends the token: whoever answers at the VIP without being this cluster, such as a
# second or an older one, is not joined. The hash comes by the same plain HTTP as this script and the token: against
# somebody who can change that it helps nothing.
name_the_ca() {
    token=/etc/rancher/k3s/cluster-token
    grep -q '^server:' /etc/rancher/k3s/config.yaml || return 0
    ! grep -q '^K10' "$token" || return 0
    # Unknown (404), or a static server: the short form stays, and k3s trusts whoever answers.
    ca=$(curl --silent --fail --connect-timeout 10 --max-time 20 --retry 3 http://192.168.26.1/pxe/cluster-ca) || return 0
    printf '%s\n' "$ca" | grep -Eqx '[0-9a-f]{64}' || return 0
    # k3s puts its own user there; a bootstrap token has none.
    case $1 in
    server) user=server: ;;
    *) user=node: ;;
    esac
    ! grep -Eqx '[a-z0-9]{6}\.[a-z0-9]{16}' "$token" || user=
    # A rename: k3s never reads half a token.
    (umask 077 && { printf 'K10%s::%s' "$ca" "$user" && cat "$token"; } >"$token.new")
    mv -f "$token.new" "$token"
}
name_the_ca "$1"

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
export INSTALL_K3S_VERSION='v1.37.0+k3s1'

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
