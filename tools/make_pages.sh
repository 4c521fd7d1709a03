#!/usr/bin/env bash
# The man page and the bash completion of g3n, made from its --help. Usage: tools/make_pages.sh G3N OUT_FOLDER
set -euo pipefail
g3n=$1
out=$2
mkdir -p "$out"

help=$("$g3n" --help)
version=$("$g3n" --version)
commands=$(awk '/^Subcommands:/ { inside = 1; next } /^$/ { inside = 0 } inside { print $1 }' <<<"$help")

# "NAMES|TYPE|ABOUT" of each flag on stdin, separated by \001. A flag too long for its column has its text in the next line.
flags() {
  awk -v OFS='\001' '
    function tell() { if (name != "") { split(name, words, " "); print words[1], words[2], about } name = "" }
    /^Options:/ { inside = 1; next }
    /^$/ { inside = 0 }
    !inside { next }
    /^  -/ { tell(); name = $1; rest = substr($0, index($0, $1) + length($1))
             if (match(rest, /^ [^ ]+/)) { name = name " " substr(rest, 2, RLENGTH - 1); rest = substr(rest, RLENGTH + 1) }
             sub(/^ +/, "", rest); about = rest; next }
    { sub(/^ +/, ""); about = about (about == "" ? "" : " ") $0 }
    END { tell() }'
}

roff() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

man_flags() {
  while IFS=$'\001' read -r names type about; do
    printf '.TP\n.B %s' "$(roff <<<"${names//,/, }")"
    [ -z "$type" ] || printf ' \\fI%s\\fR' "$(roff <<<"$type")"
    printf '\n%s\n' "$(roff <<<"$about")"
  done
}

# A paragraph of --help that begins with $1.
paragraph() { awk -v start="$1" 'index($0, start) == 1 { inside = 1 } /^$/ { inside = 0 } inside' <<<"$help"; }

{
  printf '.TH G3N 1 "" "%s" "User Commands"\n' "$version"
  printf '.SH NAME\ng3n \\- run Gemma 3n: text, pictures and sound in, text out\n.SH SYNOPSIS\n.nf\n'
  for command in $commands; do "$g3n" "$command" --help | sed -n 's/^Usage: //p' | roff; done
  printf '.fi\n.SH DESCRIPTION\n'
  paragraph 'DIR is' | sed '/^Exit status/d' | roff
  printf '.SH OPTIONS\n'
  flags <<<"$help" | man_flags
  printf '.SH COMMANDS\n'
  for command in $commands; do
    page=$("$g3n" "$command" --help)
    printf '.SS %s\n%s.\n' "$command" "$(head -n 1 <<<"$page" | roff)"
    flags <<<"$page" | grep -v '^-h,--help' | man_flags
  done
  printf '.SH EXAMPLES\n.nf\n'
  paragraph 'Examples:' | sed 1d | roff
  printf '.fi\n.SH EXIT STATUS\n'
  sed -n 's/^Exit status: \(.*\)\. More:.*/\1/p' <<<"$help" | roff
} >"$out/g3n.1"

# Values that a flag's type spells out: q4|q8|FILE gives "q4 q8".
values_of() { tr '|' '\n' <<<"$1" | grep -v '[A-Z,]' | paste -sd ' ' || true; }

{
  echo '# bash completion of g3n, made from its --help.'
  echo '_g3n() {'
  echo '  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} flags="" values=""'
  echo "  local commands=\"$(paste -sd ' ' <<<"$commands")\""
  echo '  COMPREPLY=()'
  echo '  case "$command $previous" in'
  for command in $commands; do
    while IFS=$'\001' read -r names type _; do
      values=$(values_of "$type")
      [[ "$type" == *'|'* && -n "$values" ]] && echo "    \"$command ${names##*,}\") values=\"$values\" ;;"
    done < <("$g3n" "$command" --help | flags)
  done
  echo '  esac'
  echo '  case $command in'
  for command in $commands; do
    echo "    $command) flags=\"$("$g3n" "$command" --help | flags | cut -d $'\001' -f 1 | tr ',' '\n' | paste -sd ' ')\" ;;"
  done
  echo "    *) flags=\"$(flags <<<"$help" | cut -d $'\001' -f 1 | tr ',' '\n' | paste -sd ' ')\" ;;"
  echo '  esac'
  echo '  if [[ -n $values ]]; then'
  echo '    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")'
  echo '  elif [[ $current == -* ]]; then'
  echo '    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")'
  echo '  elif ((COMP_CWORD == 1)); then'
  echo '    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")'
  echo '  fi'
  echo '}'
  echo 'complete -o bashdefault -o default -F _g3n g3n  # else names of files'
} >"$out/g3n.bash"
