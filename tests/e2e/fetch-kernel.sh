#!/usr/bin/env bash
# fetch-kernel.sh DIR: puts Debian's cloud kernel into DIR, as vmlinuz and modules/, unless it is there. The machines of
# the boot lab run it. Downloaded and unpacked only, nothing is installed.
set -euo pipefail
dir=$1
[ ! -e "$dir/vmlinuz" ] || exit 0
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The package without a version depends on the one with the kernel in it.
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$package" ] || { echo "fetch-kernel.sh: apt knows no linux-image-cloud-amd64; run apt-get update first" >&2; exit 1; }
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package" && dpkg-deb -x "$package"_*.deb unpacked)
rm -rf "$dir/modules"
mv "$work"/unpacked/lib/modules/*/kernel "$dir/modules"
# Last: it says that all is there.
mv "$work"/unpacked/boot/vmlinuz-* "$dir/vmlinuz"
