#!/bin/sh
# Builds `ottla` as one static binary, which runs in an image without a libc.
#
#   deploy/build-static.sh [OUTPUT]
#
# Copies it to OUTPUT if given, and prints where it is. The cargo profile is OTTLA_BUILD_PROFILE,
# `dist` (small, slow to build) by default.
set -eu
cd "$(dirname "$0")/.."

profile=${OTTLA_BUILD_PROFILE:-dist}
# --target, even for the host: without it build scripts and procedural macros would be linked
# statically as well, which they cannot be.
target=${OTTLA_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
# RUSTFLAGS replaces what .cargo/config.toml says, so its flag is repeated.
RUSTFLAGS="-C target-feature=+crt-static --cfg tokio_unstable" \
    cargo build --locked --profile "$profile" --target "$target" --package ottla --bin ottla >&2

directory=$profile
[ "$profile" = dev ] && directory=debug
binary=${CARGO_TARGET_DIR:-target}/$target/$directory/ottla
if [ $# -gt 0 ]; then
    mkdir -p "$(dirname "$1")"
    cp "$binary" "$1"
    binary=$1
fi
echo "$binary"
