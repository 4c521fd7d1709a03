#!/usr/bin/env bash
# Fuzzes every parser with libFuzzer under address and undefined-behaviour sanitizers. Usage: tools/fuzz.sh SECONDS [TARGET...]
# SECONDS are for each target. New inputs stay in build/fuzz/corpus for the next run; what ends a target otherwise than
# by an error lies in build/fuzz/found and belongs, shortened, into tests/fuzz/found/TARGET. Exit 1 if there is any.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
  '' | *[!0-9]*) echo "usage: tools/fuzz.sh SECONDS [TARGET...]" >&2; exit 2 ;;
esac
seconds=$1
shift

missing=""
for package in clang-14 libclang-rt-14-dev; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  run=""
  [ "$(id -u)" = 0 ] || run="sudo"
  echo "fuzz: installing$missing"
  log=$(mktemp)
  $run apt-get update -q >"$log" 2>&1 &&
    $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; echo "fuzz: could not install:$missing" >&2; exit 1; }
  rm -f "$log"
fi

build=build/fuzz
mkdir -p "$build/found"
cmake -S tests/fuzz/libfuzzer -B "$build" -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_BUILD_TYPE=None >/dev/null
ninja -C "$build" >"$build/build.log" || { tail -n 40 "$build/build.log" >&2; exit 1; }
all=$("$build/write_seeds" . "$build/seeds")

failed=0
for target in ${*:-$all}; do
  mkdir -p "$build/corpus/$target"
  if "$build/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
      -artifact_prefix="$build/found/$target-" "$build/corpus/$target" "$build/seeds/$target" >"$build/$target.log" 2>&1; then
    echo "fuzz: $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log") runs, nothing found"
  else
    failed=1
    echo "fuzz: $target: FOUND, see $build/$target.log"
    grep -E 'ERROR|SUMMARY|runtime error|what\(\)|Test unit written' "$build/$target.log" | head -n 5
  fi
done
exit $failed
