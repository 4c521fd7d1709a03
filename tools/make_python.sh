#!/usr/bin/env bash
# The Python package in a virtual environment, compiled into the release build's own folder: no object of the library is
# compiled twice. Usage: tools/make_python.sh PYTHON VENV BUILD JOBS
set -eu
cd "$(dirname "$0")/.."
python=$1 venv=$2 build=$3 jobs=$4
needed="scikit-build-core>=1.1 nanobind>=3.1 numpy>=1.24 pytest Pillow mypy"

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# Asks the index only for what is missing.
"$venv/bin/python" -c 'import scikit_build_core, nanobind, numpy, pytest, PIL, mypy' 2>/dev/null || "$venv/bin/pip" install -q $needed
echo "python: the package g3n into $venv (minutes the first time)"
CMAKE_BUILD_PARALLEL_LEVEL=$jobs PATH="$PWD/$venv/bin:$PATH" "$venv/bin/pip" install -q --disable-pip-version-check --no-build-isolation --no-deps \
  --force-reinstall --config-settings build-dir="$build" .
