#!/usr/bin/env bash
# Installs the build into a folder of its own, builds tests/install/program against it, and looks at what else is there.
# Usage: install_test.sh CMAKE BUILD_FOLDER SOURCE_FOLDER
set -euo pipefail
cmake=$1 build=$2 source=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "install: $1" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$folder/prefix" >"$folder/log" || { cat "$folder/log"; fail "cmake --install"; }
cd "$folder/prefix"

want="bin/g3n include/g3n/engine.h lib/libg3n.a share/man/man1/g3n.1 share/bash-completion/completions/g3n"
for file in $want; do
  [ -n "$(find . -path "*/${file#lib/}")" ] || fail "no $file"
done
[ "$(find . -name '*.h' | wc -l)" = "$(find "$source/include" -name '*.h' | wc -l)" ] || fail "other headers than include/g3n"
if grep -rIlF -e "$source" -e "$build" .; then fail "these files name the folder they were built from"; fi

"$cmake" -S "$source/tests/install/program" -B "$folder/program" -DCMAKE_PREFIX_PATH="$PWD" -DCMAKE_BUILD_TYPE=Release >"$folder/log" &&
  "$cmake" --build "$folder/program" >>"$folder/log" || { cat "$folder/log"; fail "the program does not build"; }
answer=$("$folder/program/ask" "$source/models/demo" "Hello!")
[ "$answer" = "$(bin/g3n run "$source/models/demo" --temperature 0 "Hello!" </dev/null)" ] || fail "the program answers: $answer"

page=$(sed -e 's/\\-/-/g' share/man/man1/g3n.1)
source share/bash-completion/completions/g3n
complete_line() {  # words of a line, the last one unfinished
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _g3n
}
for command in $(bin/g3n --help | awk '/^Subcommands:/ { inside = 1; next } /^$/ { inside = 0 } inside { print $1 }'); do
  grep -qx ".SS $command" <<<"$page" || fail "the man page lacks $command"
  complete_line g3n "$command" --
  for flag in $(bin/g3n "$command" --help | grep -o '^  [^ ]*--[a-z-]*' | sed 's/.*--/--/'); do
    grep -qF -e "$flag" <<<"$page" || fail "the man page lacks $flag"
    [[ " ${COMPREPLY[*]} " == *" $flag "* ]] || fail "completion of $command lacks $flag"
  done
done
complete_line g3n ru
[ "${COMPREPLY[*]}" = run ] || fail "ru completes to ${COMPREPLY[*]}"
complete_line g3n run --dtype b
[ "${COMPREPLY[*]}" = bf16 ] || fail "--dtype b completes to ${COMPREPLY[*]}"
if command -v groff >/dev/null; then
  [ -z "$(groff -man -Tutf8 -ww share/man/man1/g3n.1 2>&1 >/dev/null)" ] || fail "groff finds fault with the man page"
fi
echo "install: good"
