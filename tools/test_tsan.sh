#!/usr/bin/env bash
# ThreadSanitizer over unit tests and goldens.
set -eu
cd "$(dirname "$0")/.."
echo "== thread sanitizer"
cmake --preset tsan >/dev/null
cmake --build build/tsan -j "${JOBS:-$(nproc)}"
TSAN_OPTIONS=halt_on_error=1 ctest --test-dir build/tsan --output-on-failure --no-tests=error -L 'unit|golden' -LE 'slow|full'
