#!/usr/bin/env bash
# fetch-keepalived.sh DIR: puts keepalived of Debian 13 with the libraries it needs into DIR/root, unless it is there: 2.3.3,
# built reproducibly, reads a file of its own in /etc/keepalived. Downloaded and unpacked only, nothing is installed.
set -euo pipefail
dir=$1
[ ! -e "$dir/root/usr/sbin/keepalived" ] || exit 0
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
# Wherever this machine gets Debian from.
# shellcheck disable=SC2016 # apt's own variables
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | awk '$1 == "Debian" { print $2; exit }')
[ -n "$mirror" ] || { echo "fetch-keepalived.sh: apt knows no Debian mirror; run apt-get update first" >&2; exit 1; }
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
: >"$work/status"
# An empty status: apt then says all that has to be there.
apt=(apt-get -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists"
    -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false)
"${apt[@]}" update
"${apt[@]}" --download-only --yes install keepalived dash
mkdir -p "$work/root/usr/bin" "$work/root/usr/sbin" "$work/root/usr/lib" "$work/root/usr/lib64"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$work/root/$link"; done
for package in "$work"/cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C "$work/root" --keep-directory-symlink; done
# keepalived looks up who its scripts run as.
echo root:x:0:0::/root:/bin/sh >"$work/root/etc/passwd"
echo root:x:0: >"$work/root/etc/group"
mv "$work/root" "$dir/root"
