#!/usr/bin/env bash
# cargo for aarch64 on another machine, with an emulator for what is run:
#
#   scripts/aarch64.sh setup                                            once a machine: Rust's library for the target, QEMU
#   scripts/aarch64.sh test --profile ci --package connote-kernels      every level and row of the table that QEMU has
#   scripts/aarch64.sh run --release --bin connote -- embed "a cat on the mat"
#   QEMU_CPU=neoverse-n1 scripts/aarch64.sh test ...                    another CPU: this one has dotprod and no i8mm
#
# Nothing that runs so tells how fast anything is.
set -euo pipefail
cd "$(dirname "$0")/.."
TARGET=aarch64-unknown-linux-musl
EMULATOR=qemu-aarch64-static

if [ "${1:-}" = setup ]; then
  rustup target list --installed | grep -qx $TARGET || rustup target add $TARGET
  command -v $EMULATOR >/dev/null || { apt-get -qq update && apt-get -qq install -y qemu-user-static >/dev/null; }
  exit
fi
command=$1
shift
# A folder of its own: with the host's, one would build again what the other needs otherwise.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/aarch64
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER=$EMULATOR
export CONNOTE_TEST_EMULATOR=$EMULATOR
exec cargo "$command" --target $TARGET "$@"
