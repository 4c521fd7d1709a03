#!/usr/bin/env bash
# make test-full: goldens at the real E2B and E4B shapes. Writes one random checkpoint under build/full, runs its tests, deletes it, then the
# other: 11 GB and 16 GB of disk, up to 14 GB of memory. Prints what was compared and the worst distance of each case.
# Environment: RELEASE (build folder, default build/release), FULL (where checkpoints go, default build/full), KEEP=1 keeps them, SIZES.
set -eu
cd "$(dirname "$0")/.."
release=${RELEASE:-build/release}
full=${FULL:-build/full}
golden=tests/golden/data/full
failed=""

echo "== full shape: vision and audio towers"
mkdir -p "$full"
ctest --test-dir "$release" --verbose -L full -E full_text >"$full/towers.log" || failed="$failed towers"
grep -E 'worst|Passed|Failed|FAILED|differs|px:|Not Run|Skipped|No tests' "$full/towers.log" || true

for size in ${SIZES:-e2b e4b}; do
  case $size in e2b) gigabytes=11 ;; *) gigabytes=16 ;; esac
  if [ ! -d "$full/$size" ]; then
    free=$(df -k --output=avail "$full" | tail -n 1)
    if [ "$free" -lt $(((gigabytes + 1) * 1024 * 1024)) ]; then
      echo "test-full: $size needs $gigabytes GB under $full, $((free / 1024 / 1024)) GB are free" >&2
      failed="$failed $size"
      continue
    fi
    echo "== full shape: writing $full/$size ($gigabytes GB)"
    rm -rf "$full/$size.part"
    "$release/random_checkpoint" "$golden/$size/config.json" "$full/$size.part"
    mv "$full/$size.part" "$full/$size"
  fi
  echo "== full shape: $size, text, image and sound"
  G3N_FULL_CHECKPOINTS=$full "$release/tests/golden/full_text_test" --gtest_brief=1 --gtest_filter="*/$size" || failed="$failed $size"
  [ "${KEEP:-0}" = 1 ] || rm -rf "${full:?}/$size"
done

if [ -n "$failed" ]; then
  echo "test-full: FAILED:$failed" >&2
  exit 1
fi
echo "test-full: passed"
