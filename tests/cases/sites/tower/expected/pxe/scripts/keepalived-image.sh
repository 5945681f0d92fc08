#!/bin/sh
# keepalived-image.sh: sees to it that podman has the image that keepalived.service runs, and starts that.
# keepalived-image.service runs it at each boot, and until it succeeds.
set -eu

image='docker.io/osixia/keepalived:2.0.20'

# Then keepalived.service has started by itself, unless somebody does not want it to.
if podman image exists "$image"; then
    exit 0
fi

podman pull --quiet "$image"

# It was skipped, for want of the image.
systemctl start --no-block keepalived.service
