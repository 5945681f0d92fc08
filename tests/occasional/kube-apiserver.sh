#!/usr/bin/env bash
# kube-apiserver.sh KUBE_APISERVER: what pxe-serve renders for the API server, and the verbs that ask it, against a real
# kube-apiserver with a real etcd. Outside of ./check, since no package of Debian 12 has a kube-apiserver: give it one of
# 1.31 or later. Prints a transcript; exit 0 if every line is as expected. docs/proof.md has the last one.
#
# Not real: k3s around it. The arguments are those that k3s gives (pkg/daemons/control/server.go); the certificates are
# made here with the names that the inventory demands.
#
# As root, for a network namespace of its own that has the addresses of the inventory's first server and of its VIP. Needs
# etcd (etcd-server), openssl, curl, kubectl; PXE_SERVE names the binary under test. Bounded: some 90 s.
set -euo pipefail

apiserver=$(readlink -f "${1:?usage: kube-apiserver.sh KUBE_APISERVER}")
top=$(cd "$(dirname "$0")/../.." && pwd)
pxe_serve=$(readlink -f "${PXE_SERVE:-$top/target/debug/pxe-serve}")
if [ "${2-}" != inside ]; then
    exec timeout --kill-after=5 240 unshare --net --mount --fork --kill-child "$0" "$apiserver" inside
fi

work=$(mktemp -d)
etcd='' kube=''
# Both get a moment to end by themselves; the namespace's end takes whatever is left.
trap 'kill -CONT $etcd 2>/dev/null; kill $kube $etcd 2>/dev/null; rm -rf "$work"' EXIT
failures=0

ip link set lo up
for address in 192.168.26.5 192.168.26.253; do ip address add "$address/32" dev lo; done

# expect NAME WANTED GOT
expect() {
    local mark=ok
    [ "$2" = "$3" ] || { mark=FAILED failures=$((failures + 1)); }
    printf '%-6s %s: %s%s\n' "$mark" "$1" "$3" "$([ "$mark" = ok ] || echo ", expected $2")"
}

# The version decides which form of the authentication configuration is rendered.
version=$("$apiserver" --version | sed -n 's/^Kubernetes \(v[0-9]*\.[0-9]*\.[0-9]*\).*/\1/p')
printf '# %s with etcd %s, %s\n' "$version" "$(etcd --version | sed -n 's/^etcd Version: //p')" "$("$pxe_serve" --version)"
cp -r "$top/inventory.yaml" "$top/secrets" "$work/"
sed -i "s/^  version: v.*/  version: $version+k3s1/" "$work/inventory.yaml"
cd "$work"
"$pxe_serve" render --out www >/dev/null

certificates() {
    local names
    names=$(sed -n '/^tls-san:/,/^[a-z]/s/^- //p' www/pxe/configs/k3s-config-lenovo2.yaml | tr -d '"' |
        awk '{ print (/^[0-9.]+$/ || /:/ ? "IP:" : "DNS:") $0 }' | paste -sd,)
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=k3s-server-ca -keyout ca.key -out ca.crt \
        -addext keyUsage=critical,keyCertSign,digitalSignature 2>/dev/null
    # k3s' own names beside those of the inventory (pkg/daemons/control/deps/deps.go).
    certificate server /CN=kube-apiserver \
        "$names,DNS:kubernetes,DNS:kubernetes.default,DNS:localhost,IP:127.0.0.1,IP:10.43.0.1"
    certificate admin /O=system:masters/CN=system:admin DNS:admin
    openssl genrsa -out service-account.key 2048 2>/dev/null
}

# certificate NAME SUBJECT SANS
certificate() {
    openssl req -new -newkey rsa:2048 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}

# until_status WANTED SECONDS: of /readyz, asked as the health check asks.
until_status() {
    local begin=$SECONDS got=
    while [ $((SECONDS - begin)) -lt "$2" ]; do
        got=$(curl -sk --max-time 5 -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/readyz || true)
        [ "$got" = "$1" ] && return
        sleep 0.5
    done
    tail -n 20 kube.log
    echo "/readyz was $got, not $1, for $2 s" >&2
    exit 1
}

# start_apiserver ARG…
start_apiserver() {
    "$apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=0.0.0.0 \
        --advertise-address=192.168.26.5 --service-cluster-ip-range=10.43.0.0/16 --authorization-mode=Node,RBAC \
        --client-ca-file=ca.crt --tls-cert-file=server.crt --tls-private-key-file=server.key \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=service-account.key \
        --service-account-signing-key-file=service-account.key "$@" >kube.log 2>&1 &
    kube=$!
}

stop_apiserver() {
    kill "$kube"
    wait "$kube" 2>/dev/null || true
}

status() { curl -sk --max-time 5 -o /dev/null -w '%{http_code}' "https://127.0.0.1:6443$1" || true; }

health() {
    local code=0
    sh www/pxe/configs/k3s-healthcheck.sh || code=$?
    echo "$code"
}

certificates
etcd --data-dir etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 >etcd.log 2>&1 &
etcd=$!

config=www/pxe/configs/k3s-authentication-config.yaml
printf '# with the rendered %s, %s\n' "${config##*/}" "$(sed -n 's/^apiVersion: //p' $config)"
start_apiserver --authentication-config="$config"
until_status 200 60
for path in /readyz /livez; do expect "without credentials $path" 200 "$(status $path)"; done
for path in /healthz /readyz/etcd /version /api /metrics; do expect "without credentials $path" 401 "$(status $path)"; done
expect 'health check, all is well' 0 "$(health)"
kill -STOP $etcd
sleep 3
expect 'health check, etcd hangs' 1 "$(health)"
kill -CONT $etcd
until_status 200 30
expect 'health check, etcd goes on' 0 "$(health)"

printf '# the verbs that ask it\n'
cat >k3s.yaml <<Y
apiVersion: v1
kind: Config
clusters:
- name: default
  cluster:
    server: https://127.0.0.1:6443
    certificate-authority-data: $(base64 -w0 ca.crt)
contexts:
- name: default
  context: {cluster: default, user: default}
current-context: default
users:
- name: default
  user:
    client-certificate-data: $(base64 -w0 admin.crt)
    client-key-data: $(base64 -w0 admin.key)
Y
"$pxe_serve" kubeconfig --from k3s.yaml --out lab.yaml >kubeconfig.txt 2>&1 || true
grep -E 'VIP|lenovo1' kubeconfig.txt || cat kubeconfig.txt
expect 'kubeconfig chose the VIP' https://192.168.26.253:6443 "$(sed -n 's/^ *server: //p' lab.yaml)"
expect 'kubectl with it' ok "$(kubectl --kubeconfig lab.yaml get --raw=/readyz)"
"$pxe_serve" tls-san check >san.txt 2>&1 || true
grep -E '^(ok|error|warning) +tls-san +(lenovo1|VIP)' san.txt || true
expect 'tls-san check, lenovo1 and the VIP' 2 "$(grep -cE '^ok +tls-san +(lenovo1|VIP).* shows all' san.txt)"
"$pxe_serve" doctor --kubeconfig lab.yaml >doctor.txt 2>&1 || true
grep -E '^(ok|error|warning) +(readyz|version) +lenovo1' doctor.txt || true
expect 'doctor, /readyz of lenovo1' 1 "$(grep -cE '^ok +readyz +lenovo1' doctor.txt)"

stop_apiserver
expect 'health check, no API server' 1 "$(health)"

# What k3s releases before 1.31.9, 1.32.5 and 1.33.1 do, and what is rendered for them.
printf '# --anonymous-auth=false, and the health check for k3s v1.30.4\n'
sed -i 's/^  version: v.*/  version: v1.30.4+k3s1/' inventory.yaml
"$pxe_serve" render --out www >/dev/null
start_apiserver --anonymous-auth=false
until_status 401 60
for path in /readyz /livez /healthz; do expect "without credentials $path" 401 "$(status $path)"; done
expect 'health check, all is well' 0 "$(health)"
stop_apiserver
expect 'health check, no API server' 1 "$(health)"

printf '%s lines are not as expected\n' "$failures"
[ "$failures" = 0 ]
