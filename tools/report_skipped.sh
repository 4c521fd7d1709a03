#!/usr/bin/env bash
# Says by name what make test did not run on this machine, and how to run it.
set -eu
cd "$(dirname "$0")/.."
[ -d build/tokenizer-gemma3n ] || echo "not run: tokenizer goldens over the public vocabulary (make test-tokenizer fetches it)"
echo "not run: slow goldens, sanitizers over everything, thread sanitizer, checked functions and packing on Arm, the page in a browser (make test-all)"
echo "not run: goldens at full E2B and E4B shape (make test-full; 16 GB of disk)"
[ -n "${G3N_MODEL:-}" ] || echo "not run: real weights (set G3N_MODEL to a checkpoint folder)"
for flag in avx_vnni avx512f avx512_vnni avx512_bf16; do
  grep -qw "$flag" /proc/cpuinfo || echo "not run natively: $flag kernels (this CPU lacks them; they ran emulated)"
done
