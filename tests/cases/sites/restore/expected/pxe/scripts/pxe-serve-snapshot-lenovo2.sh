#!/bin/sh
# Puts the newest etcd snapshot of this server on the router, unless it is there. k3s takes them by its own schedule, or
# when somebody says `k3s etcd-snapshot save`.
set -eu

folder=/var/lib/rancher/k3s/server/db/snapshots

# The newest of those that are finished, all named NAME-NODE-TIME: etcd writes NAME.part and renames it, but k3s writes a
# NAME.zip in place and deletes NAME when that is whole (pkg/etcd/snapshot.go). A minute besides, since a half one that is
# hashed would look whole.
newest=
for file in "$folder"/*-[0-9]*; do
    case $file in
    *.part) continue ;;
    *.zip) [ ! -e "${file%.zip}" ] || continue ;;
    esac
    [ -n "$(find "$file" -maxdepth 0 -type f -mmin +1 2>/dev/null)" ] || continue
    if [ -z "$newest" ] || [ -n "$(find "$file" -newer "$newest")" ]; then
        newest=$file
    fi
done
if [ -z "$newest" ]; then
    echo "k3s has no finished snapshot yet"
    exit 0
fi

name=${newest##*/}
sha256=$(sha256sum <"$newest")
sha256=${sha256%% *}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# With Expect: 100-continue, which curl sends with what is big, nothing is sent that the router has or does not take.
status=$(curl --silent --show-error --output "$answer" --write-out '%{http_code}' --connect-timeout 10 \
    --speed-limit 1024 --speed-time 60 --max-time 900 --retry 5 --retry-delay 10 --retry-connrefused \
    --upload-file "$newest" "http://192.168.26.1/pxe/snapshots/lenovo2/$name?sha256=$sha256") || true

case $status in
204) echo "$name is on the router" ;;
409) echo "$name is on the router already" ;;
*)
    # 000 is no answer.
    echo "the router did not take $name ($status): $(head -c 300 "$answer")" >&2
    exit 1
    ;;
esac
