#!/usr/bin/env bash
# make test-server: the openai package against g3n serve over the demo. "all": lm-evaluation-harness, too (some hundred
# MB of packages). Virtual environment in build/venv-server. Environment: RELEASE (build folder), PYTHON.
set -eu
cd "$(dirname "$0")/.."
release=${RELEASE:-build/release}
venv=build/venv-server
tests=tests/server/conformance
[ -x "$venv/bin/python" ] || "${PYTHON:-/usr/bin/python3}" -m venv "$venv"
install() { # what is there is not asked for again
  cmp -s "$1" "$venv/$(basename "$1")" && return
  echo "test-server: packages of $1 into $venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$1"
  cp "$1" "$venv/"
}
install $tests/requirements.txt
[ "${1:-}" != all ] || install $tests/requirements-harness.txt
G3N=$PWD/$release/g3n HF_HUB_OFFLINE=1 "$venv/bin/python" -m pytest -q -p no:cacheprovider "$tests"
