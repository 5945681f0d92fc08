#!/bin/sh
# Exit 0: the API server on this node is healthy, and the node may hold the control-plane address.
# keepalived runs this in its container every 2 s and waits 2 s at most; 2 failures take the address away.
#
# The status is compared, since curl is content with a 500 as well. 127.0.0.1, since localhost may be ::1.
# k3s v1.30.14+k3s2 answers unauthenticated requests with 401, before it looks at readiness: so this proves that the
# server answers over TLS, and no more. k3s 1.31.9, 1.32.5 and 1.33.1 and later can do better.
status=$(curl --silent --insecure --noproxy '*' --max-time 1.5 --output /dev/null \
    --write-out '%{http_code}' https://127.0.0.1:6443/readyz) || exit 1

case $status in
200 | 401) exit 0 ;;
*) exit 1 ;;
esac
