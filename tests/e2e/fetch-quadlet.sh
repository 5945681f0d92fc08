#!/usr/bin/env bash
# fetch-quadlet.sh DIR: puts podman's Quadlet generator into DIR/quadlet, unless it is there. Debian 12's podman is too
# old for our keys; the generator of Debian 13's runs there as well. Downloaded and unpacked only, nothing is installed.
set -euo pipefail
dir=$1
[ ! -x "$dir/quadlet" ] || exit 0
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
# Wherever this machine gets Debian from.
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" { print $2; exit }')
[ -n "$mirror" ] || { echo "fetch-quadlet.sh: apt knows no Debian mirror; run apt-get update first" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
apt=(apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=-
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
(cd "$work" && "${apt[@]}" download podman && dpkg-deb -x podman_*.deb unpacked)
mv "$work/unpacked/usr/libexec/podman/quadlet" "$dir/quadlet"
