#!/bin/busybox sh
# What udhcpc runs in the boot lab's machines: $1 is the event, the lease comes in variables.
# shellcheck shell=dash disable=SC2154
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
for gateway in $router; do ip route add default via "$gateway"; done
for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
hostname "${hostname:-localhost}"
echo "LAB lease $ip hostname $hostname domain $domain"
