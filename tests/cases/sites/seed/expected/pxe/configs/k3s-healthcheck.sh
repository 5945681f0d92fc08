#!/bin/sh
# Exit 0: the API server on this node is healthy, and the node may hold the control-plane address.
# keepalived runs this in its container every 2 s and waits 2 s at most; 2 failures take the address away.
#
# The status is compared, since curl is content with a 500 as well. 127.0.0.1, since localhost may be ::1.
# k3s-authentication-config.yaml opens /readyz to this check, so nothing but 200 is healthy.
status=$(curl --silent --insecure --noproxy '*' --max-time 1.5 --output /dev/null \
    --write-out '%{http_code}' https://127.0.0.1:6443/readyz) || exit 1

case $status in
200) exit 0 ;;
*) exit 1 ;;
esac
