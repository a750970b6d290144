#!/bin/sh
# Packs a static binary (deploy/build-static.sh) into an image that holds nothing else.
#
#   deploy/pack-static.sh BINARY IMAGE
#
# Needs no base image, so it works without a registry.
set -eu
if [ $# -ne 2 ]; then
    echo "usage: $0 BINARY IMAGE" >&2
    exit 2
fi
here=$(dirname "$0")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir "$context/data"
install -m 0755 "$1" "$context/ottla"
docker build --quiet --file "$here/Dockerfile.static" --tag "$2" "$context"
