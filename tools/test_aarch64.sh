#!/usr/bin/env bash
# Built for Arm, run under qemu-aarch64-static. quick: core and the raw kernels, which are all that is written for Arm. all: the checked,
# threaded functions over them and packing, too.
set -eu
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
cmake --preset aarch64 >/dev/null
if [ "${1:-quick}" = quick ]; then
  echo "== aarch64 under qemu: core and kernels"
  cmake --build build/aarch64 -j "$jobs" --target core_test kernels_test
  ctest --test-dir build/aarch64 --output-on-failure --no-tests=error -R '^(core|kernels|isa_symbols)$'
else
  echo "== aarch64 under qemu: everything"
  cmake --build build/aarch64 -j "$jobs"
  ctest --test-dir build/aarch64 --output-on-failure --no-tests=error -L unit
fi
