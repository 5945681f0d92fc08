#!/bin/sh
# k3s-install.sh server|agent: installs k3s v1.32.5+k3s1, which reads /etc/rancher/k3s/config.yaml.
# k3s-install.service runs it once; it may be run again.
set -eu

case ${1-} in
server | agent) ;;
*)
    echo "usage: k3s-install.sh server|agent" >&2
    exit 2
    ;;
esac

installer=$(mktemp)
trap 'rm -f "$installer"' EXIT

# To a file first: a download that breaks off must not be run in part.
curl --fail --silent --show-error --location --retry 10 --retry-delay 5 --retry-connrefused \
    --output "$installer" https://get.k3s.io

# Every node the same release; all other settings stand in config.yaml, and only there.
INSTALL_K3S_VERSION='v1.32.5+k3s1' INSTALL_K3S_EXEC="$1" sh "$installer"
