#!/bin/sh
# Restores the cluster's etcd from a snapshot on the router, before k3s starts for the first time. Exit 0: it is restored;
# else k3s does not start, and systemd tries again. What k3s does is by its documentation (docs, cli/etcd-snapshot, "Restoring
# To New Hosts") and source (pkg/etcd/etcd.go, pkg/cluster/managed.go); a real k3s has not run this yet.
set -eu

# Seconds: a snapshot of half a GiB on a slow disk takes a few minutes.
restore_limit=900
stamp=/var/lib/pxe-serve/k3s-restored
etcd=/var/lib/rancher/k3s/server/db/etcd
work=/var/lib/pxe-serve/restore

[ ! -e "$stamp" ] || exit 0
mkdir -p "$work"
# All secrets of the cluster.
chmod 0700 "$work"
# k3s unpacks a NAME.zip into the folder that it is started in.
cd "$work"

# systemd comes again after 5 s (k3s.service, RestartSec); a router that is away is not asked that often.
fail() {
    echo "pxe-serve-restore: $1" >&2
    /usr/local/bin/pxe-serve-report step_failed "restore: $1" || true
    sleep 15
    exit 1
}

# fetch PATH FILE
fetch() {
    status=$(curl --silent --show-error --output "$2.part" --write-out '%{http_code}' --connect-timeout 10 \
        --speed-limit 1024 --speed-time 60 --max-time 900 --retry 3 --retry-delay 5 --retry-connrefused \
        "http://192.168.26.1/pxe/snapshots/$1") || true
    # 000 is no answer.
    [ "$status" = 200 ] || fail "the router does not give snapshots/$1 ($status): $(head -c 300 "$2.part" 2>/dev/null)"
    mv -f "$2.part" "$2"
}

fetch newest newest
read -r sha256 snapshot <newest
file=$work/${snapshot##*/}

is_whole() {
    echo "$sha256  $file" | sha256sum -c - >/dev/null 2>&1
}

# An earlier try may have brought it.
if ! is_whole; then
    fetch "$snapshot?sha256=$sha256" "$file"
    is_whole || fail "$snapshot is not what its SHA-256 $sha256 says"
fi

# k3s ends by itself, with 0, when it has restored; tried again it puts aside what is there as etcd-old-TIME. Without
# NOTIFY_SOCKET, since it would tell systemd that the service runs; etcd-s3=false, since with S3 in its configuration
# it would look for the file there.
code=0
timeout --kill-after=30 "$restore_limit" env -u NOTIFY_SOCKET /usr/local/bin/k3s server --cluster-reset \
    --cluster-reset-restore-path="$file" --etcd-s3=false || code=$?
[ "$code" = 0 ] || fail "k3s could not restore $snapshot (exit status $code); journalctl -u k3s says why"
[ -d "$etcd/member/wal" ] || fail "k3s says that it restored $snapshot, and left no $etcd/member/wal"

sync
touch "$stamp"
sync
rm -rf "$work"
echo "restored from $snapshot"
