#!/usr/bin/env bash
# Demands that each ISA unit defines exactly one external symbol, its table, and no weak one: a weak function compiled for AVX-512
# could be the copy that the linker keeps for the whole program. Usage: tools/check_isa_symbols.sh LIBRARY.a [NM]
set -eu
library=${1:?usage: check_isa_symbols.sh LIBRARY.a [NM]}
nm=${2:-nm}
bad=0 units=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for member in $(ar t "$library" | grep -E '^(avx|neon)'); do
  units=$((units + 1))
  ar p "$library" "$member" > "$work/unit.o"
  symbols=$("$nm" -C --defined-only --extern-only "$work/unit.o" | sed 's/^[0-9a-f]* *//')
  if [ "$(printf '%s\n' "$symbols" | grep -cE '^[DR] g3n::k[A-Za-z0-9]+Kernels$')" != 1 ] || [ "$(printf '%s\n' "$symbols" | wc -l)" != 1 ]; then
    echo "$member: wanted one external symbol, the table; found:" >&2
    printf '%s\n' "$symbols" >&2
    bad=1
  fi
done
[ "$units" -gt 0 ] || { echo "$library: no ISA unit in it" >&2; exit 1; }
echo "$units ISA units checked"
exit $bad
