#!/bin/sh
# Runs the health check on the host and tells keepalived, which tracks the file: 0 may hold the address, 1 may not.
# A loop, not a timer: systemd would log a start and an end of it every 2 s.
set -u

# A rename: keepalived never reads half a file.
tell() {
    printf '%s\n' "$1" >/run/k3s-health/status.new && mv -f /run/k3s-health/status.new /run/k3s-health/status
}

# Unhealthy until proven, and again when this ends.
tell 1
trap 'tell 1; exit 0' TERM INT

good=0
bad=0
while :; do
    if /etc/keepalived/k3s-healthcheck.sh; then
        bad=0
        good=$((good + 1))
        [ "$good" -ne 2 ] || tell 0
    else
        good=0
        bad=$((bad + 1))
        [ "$bad" -ne 2 ] || tell 1
    fi
    # In the background, so that a signal is heard at once.
    sleep 2 &
    wait $!
done
