#!/bin/sh
# k3s-health.sh: runs the health check on the host and tells keepalived, which tracks the file: 0 may hold the address, 1
# may not. A loop, not a timer: systemd would log a start and an end of it every 2 s.
# k3s-health.sh stopped: for ExecStopPost=, when the loop has ended.
set -u

# A rename: keepalived never reads half a file.
tell() {
    printf '%s\n' "$1" >/run/k3s-health/status.new && mv -f /run/k3s-health/status.new /run/k3s-health/status
}

if [ "${1-}" = stopped ]; then
    # systemd has a job of the type restart for this unit only while `systemctl restart` waits for its end. Then the last
    # word stands until the next loop has its own: the address does not move for a restart.
    timeout 5 systemctl list-jobs --no-legend k3s-health.service | grep -q ' restart ' || tell 1
    exit 0
fi

trap 'exit 0' TERM INT

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
