#!/bin/sh
# fetch-fcos.sh DIR [ARCH…]: the live images of Fedora CoreOS stable for these architectures (x86_64), verified, into
# DIR, a folder `fcos` of what --static names. The metadata, which `fcos: {stream: pxe/fcos/stable.json}` in the
# inventory reads, is put in place last, when all images are there. Needs curl, jq and sha256sum.
set -eu
[ $# -gt 0 ] || { echo "usage: fetch-fcos.sh DIR [ARCH…]" >&2 && exit 2; }
mkdir -p "$1"
cd "$1"
shift
[ $# -gt 0 ] || set -- x86_64
# Hidden while it is on its way: pxe-serve does not serve it.
trap 'rm -f .pxe.json' EXIT
curl -fsSLo .stable.json "${STREAMS:-https://builds.coreos.fedoraproject.org/streams}/stable.json"
for arch in "$@"; do
    jq -e ".architectures.$arch.artifacts.metal.formats.pxe" .stable.json >.pxe.json
    jq -r '.[].location' .pxe.json | while read -r location; do
        name=${location##*/}
        echo "fetching $name"
        curl -fSL --progress-bar -o ".$name" "$location"
        mv ".$name" "$name"
    done
    jq -r '.[] | .sha256 + "  " + (.location | split("/") | last)' .pxe.json | sha256sum -c
done
mv .stable.json stable.json
