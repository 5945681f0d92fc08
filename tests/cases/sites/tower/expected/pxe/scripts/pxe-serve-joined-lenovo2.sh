#!/bin/sh
# Reports to pxe-serve that k3s is active, and then that this node is a healthy member of its cluster. What is missing
# after ten minutes is reported, and again ever less often; it ends when the node has joined and the report was taken.
set -u

FIRST_REPORT_SECONDS=600
REPORT_AGAIN_SECONDS_MAX=3600

# What the certificate must show, as openssl prints it.
NAMES='IP Address:192.168.26.253
DNS:lenovo1
DNS:lenovo1.lab.internal
IP Address:192.168.26.5
DNS:lenovo2
DNS:lenovo2.lab.internal
IP Address:192.168.26.6
DNS:lenovo3
DNS:lenovo3.lab.internal
IP Address:192.168.26.7
DNS:k3s.example.com
'

bundle=$(mktemp)
trap 'rm -f "$bundle"' EXIT

# fetch PATH FILE: prints the status, 000 for no answer.
fetch() {
    curl --silent --insecure --noproxy '*' --max-time 10 --output "$2" --write-out '%{http_code}' \
        "https://127.0.0.1:6443$1"
}

# Says what is missing, if anything.
missing() {
    status=$(fetch /readyz /dev/null)
    if [ "$status" != 200 ]; then
        echo "https://127.0.0.1:6443/readyz answers $status, not 200 (000 is no answer)"
        return
    fi
    shown=$(timeout 10 openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null |
        openssl x509 -noout -ext subjectAltName 2>/dev/null | tr ',' '\n' | sed 's/^ *//; s/ *$//')
    lacks=$(printf %s "$NAMES" | while IFS= read -r name; do
        printf '%s\n' "$shown" | grep -Fxq -e "$name" || printf '%s, ' "$name"
    done)
    if [ -n "$lacks" ]; then
        echo "the certificate on port 6443 lacks ${lacks%, }"
        return
    fi
    status=$(fetch /cacerts "$bundle")
    [ "$status" = 200 ] || echo "https://127.0.0.1:6443/cacerts answers $status, not 200"
}

# The hash in a token that begins with K10: of the file as it is served. Of a bundle of several certificates k3s takes
# the root's instead (hashCA in its pkg/clientaccess); then nothing is said.
ca_sha256() {
    [ "$(grep -c 'BEGIN CERTIFICATE' "$bundle")" = 1 ] && sha256sum "$bundle" | cut -c 1-64
}

seconds_up() {
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

begin=$(seconds_up)
report_at=$FIRST_REPORT_SECONDS
is_started=
while :; do
    waited=$(($(seconds_up) - begin))
    state=$(systemctl is-active k3s.service)
    missing="k3s.service is $state"
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
        said=$(journalctl --unit k3s.service --output cat --lines 10 --no-pager 2>/dev/null | cut -c 1-4000)
        /usr/local/bin/pxe-serve-report step_failed "pxe-serve-joined.service: not joined for $((waited / 60)) min: $missing
$said" || true
        report_at=$((waited + (waited < REPORT_AGAIN_SECONDS_MAX ? waited : REPORT_AGAIN_SECONDS_MAX)))
    fi
    # Often while somebody waits for it.
    if [ "$waited" -lt "$FIRST_REPORT_SECONDS" ]; then sleep 5; else sleep 60; fi
done
