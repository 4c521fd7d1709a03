#!/usr/bin/env bash
# Demands that every source is as clang-format writes it (.clang-format, version 14: Debian 12's). tools/check_format.sh --fix rewrites.
set -eu
cd "$(dirname "$0")/.."
format=$(command -v clang-format-14 || command -v clang-format) || { echo "format: clang-format is not installed (tools/setup.sh test)" >&2; exit 1; }
mapfile -t files < <(git ls-files -co --exclude-standard -- '*.cc' '*.h' '*.inc')
[ ${#files[@]} -gt 100 ] || { echo "format: found only ${#files[@]} sources" >&2; exit 1; }
if [ "${1:-}" = --fix ]; then exec "$format" -i "${files[@]}"; fi
"$format" --dry-run -Werror "${files[@]}" || { echo "format: run tools/check_format.sh --fix" >&2; exit 1; }
echo "format: ${#files[@]} files as .clang-format wants them"
