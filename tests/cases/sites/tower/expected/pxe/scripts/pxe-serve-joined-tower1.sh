#!/bin/sh
# Reports to pxe-serve that k3s is active, and then that this node is a healthy member of its cluster. What is missing
# after ten minutes is reported, and again ever less often; it ends when the node has joined and the report was taken.
set -u

FIRST_REPORT_SECONDS=600
REPORT_AGAIN_SECONDS_MAX=3600

# Says what is missing, if anything. The kubelet may read its own node.
missing() {
    ready=$(timeout 20 k3s kubectl --kubeconfig /var/lib/rancher/k3s/agent/kubelet.kubeconfig get node tower1 \
        --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>&1)
    [ "$ready" = True ] || echo "the node tower1 is not Ready: $ready"
}

ca_sha256() { :; }

seconds_up() {
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

begin=$(seconds_up)
report_at=$FIRST_REPORT_SECONDS
is_started=
while :; do
    waited=$(($(seconds_up) - begin))
    state=$(systemctl is-active k3s-agent.service)
    missing="k3s-agent.service is $state"
    if [ "$(systemctl is-active pxe-serve-booted.service)" = activating ]; then
        # It comes again until it is taken, and the server would take that for another boot after this.
        missing="booted is not reported yet"
    elif [ "$state" = active ]; then
        [ -n "$is_started" ] || ! /usr/local/bin/pxe-serve-report k3s_started || is_started=yes
        missing=$(missing)
    fi
    if [ -z "$missing" ]; then
        if /usr/local/bin/pxe-serve-report joined '' "$(ca_sha256)"; then exit 0; fi
    elif [ "$waited" -ge "$report_at" ]; then
        said=$(journalctl --unit k3s-agent.service --output cat --lines 10 --no-pager 2>/dev/null | cut -c 1-4000)
        /usr/local/bin/pxe-serve-report step_failed "pxe-serve-joined.service: not joined for $((waited / 60)) min: $missing
$said" || true
        report_at=$((waited + (waited < REPORT_AGAIN_SECONDS_MAX ? waited : REPORT_AGAIN_SECONDS_MAX)))
    fi
    # Often while somebody waits for it.
    if [ "$waited" -lt "$FIRST_REPORT_SECONDS" ]; then sleep 5; else sleep 60; fi
done
