#!/bin/sh
# Stands in for k3s' binary where a cluster is restored. What it does, and by which source of k3s-io that is so:
#
#   server --cluster-reset with `server:` in the configuration     fatal             k3s#8488, pkg/cli/server/server.go
#   a restore path that is no file                                 an error          pkg/etcd/etcd.go, Reset
#   a snapshot that another token encrypted                        fatal             docs, cli/etcd-snapshot, Restoring To New Hosts
#   a snapshot whose own checksum is wrong                         an error          docs, the same page, step 4 of a restore
#   a restore where there is data                                  db/etcd-old-TIME  the same page, step 3
#   a restore that ends well                                       db/reset-flag, exit 0   pkg/etcd/etcd.go, Reset
#   server with data                                               starts with it, whatever cluster-init says   pkg/etcd/etcd.go, Start
#   server without data and with cluster-init                      a new cluster     the same
#   server without data and with `server:`                         joins that        the same, join
#   a flag that it does not know                                   exit 1            urfave/cli
#
# NODE is the root of the node's files, APIS a folder that stands for the network: APIS/ADDRESS is an API server's data.
set -eu
db=$NODE/var/lib/rancher/k3s/server/db
config=$NODE/etc/rancher/k3s/config.yaml
token=$(cat "$NODE/etc/rancher/k3s/cluster-token")
echo "$*" >>"$NODE/k3s.log"

fatal() {
    echo "level=fatal msg=\"$1\"" >&2
    exit 1
}

[ "$1" = server ] || fatal "this stands in for a server"
shift
reset=
snapshot=
for flag in "$@"; do
    case $flag in
    --cluster-reset) reset=true ;;
    --cluster-reset-restore-path=*) snapshot=${flag#*=} ;;
    --etcd-s3=false) ;;
    *) fatal "flag provided but not defined: $flag" ;;
    esac
done

if [ -n "$reset" ]; then
    [ -z "${NOTIFY_SOCKET-}" ] || fatal "it would tell systemd that it is ready"
    ! grep -q '^server:' "$config" || fatal "cannot perform cluster-reset while server URL is set"
    grep -q '^cluster-init: true' "$config" || fatal "no managed etcd"
    [ -f "$snapshot" ] || fatal "etcd: snapshot path does not exist: $snapshot"
    grep -q "^encrypted with $token\$" "$snapshot" || fatal "bootstrap data already found and encrypted with different token"
    tail -n 1 "$snapshot" | grep -q '^end$' || fatal "expected sha256 [...], got [...]"
    [ ! -e "$NODE/k3s-hangs" ] || sleep 600
    [ ! -d "$db/etcd" ] || mv "$db/etcd" "$db/etcd-old-$(date +%s)-$$"
    mkdir -p "$db/etcd/member/wal"
    cp "$snapshot" "$db/etcd/data"
    touch "$db/reset-flag"
    echo "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now."
    exit 0
fi

address=$(sed -n 's/^node-ip: *"\{0,1\}\([0-9.]*\).*/\1/p' "$config")
server=$(sed -n 's|^server: *https://\([0-9.]*\):6443|\1|p' "$config")
if [ ! -d "$db/etcd/member/wal" ]; then
    mkdir -p "$db/etcd/member/wal"
    if grep -q '^cluster-init: true' "$config"; then
        printf 'encrypted with %s\nan empty cluster\nend\n' "$token" >"$db/etcd/data"
    else
        cp "$APIS/$server" "$db/etcd/data" || fatal "failed to get CA certs: $server"
    fi
fi
rm -f "$db/reset-flag"
cp "$db/etcd/data" "$APIS/$address"
