#!/usr/bin/env bash
# Core and kernels built for Arm, their unit tests run under qemu-aarch64-static.
set -eu
cd "$(dirname "$0")/.."
echo "== aarch64 under qemu: core and kernels"
cmake --preset aarch64 >/dev/null
cmake --build build/aarch64 -j "${JOBS:-$(nproc)}"
ctest --test-dir build/aarch64 --output-on-failure --no-tests=error -L unit
