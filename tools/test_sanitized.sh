#!/usr/bin/env bash
# AddressSanitizer and UndefinedBehaviorSanitizer. quick: the rooms that read foreign bytes, and the text model. all: everything.
set -eu
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
if [ "${1:-quick}" = quick ]; then
  # Raw kernels are run over guarded buffers in the release build, whose objects these are; "all" sanitizes them.
  [ -f build/release/build.ninja ] || cmake --preset release >/dev/null
  cmake --build build/release -j "$jobs" --target g3n_kernels
  cmake --preset dev -DG3N_ISA_OBJECTS="$PWD/build/release" -DCMAKE_UNITY_BUILD=ON >/dev/null
  echo "== sanitized: core, json, formats, tokenizer, media, text"
  cmake --build build/dev -j "$jobs" --target core_test json_test formats_test tokenizer_test media_test text_test
  ctest --test-dir build/dev --output-on-failure --no-tests=error -R '^(core|json|formats|tokenizer|media|text)$'
else
  # Every source by itself, with warnings as errors.
  cmake --preset dev -DG3N_ISA_OBJECTS= -DCMAKE_UNITY_BUILD=OFF >/dev/null
  echo "== sanitized: everything"
  cmake --build build/dev -j "$jobs"
  ctest --test-dir build/dev --output-on-failure --no-tests=error -L 'unit|golden' -LE 'slow|full'
fi
