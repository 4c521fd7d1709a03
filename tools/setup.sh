#!/usr/bin/env bash
# Installs the Debian 12 packages that g3n needs and this machine lacks. Usage: tools/setup.sh build|python|torch|test|page
# Asks nothing; does nothing when all are present; a failure names the packages.
set -eu

build="g++ cmake ninja-build pkg-config nlohmann-json3-dev libcli11-dev libedit-dev libjpeg62-turbo-dev libpng-dev libwebp-dev
  libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev libsoxr-dev libxxhash-dev"
test_only="libgtest-dev libgmock-dev googletest libsimde-dev g++-aarch64-linux-gnu qemu-user-static python3-minimal binutils clang-format"

# Boost.Beast, of any Boost from 1.74 on: what is installed stays, since Debian's libboost*-dev exclude each other.
echo '#include <boost/beast/version.hpp>' | ${CXX:-c++} -x c++ -fsyntax-only - 2>/dev/null || build="$build libboost1.74-dev"

case "${1:-build}" in
  build) wanted=$build ;;
  python) wanted="$build python3-dev python3-venv" ;;
  torch) wanted="python3-torch python3-numpy python3-pil python3-venv" ;;  # for tests of tensors: Debian's, for the CPU
  test) wanted="$build $test_only" ;;
  page)  # a Node.js from elsewhere brings its own npm
    wanted="$build chromium fonts-inter"
    command -v node >/dev/null || wanted="$wanted nodejs"
    command -v npm >/dev/null || wanted="$wanted npm"
    ;;
  *) echo "usage: tools/setup.sh build|python|torch|test|page" >&2; exit 2 ;;
esac

missing=""
for package in $wanted; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "setup: installing$missing"
run=""
if [ "$(id -u)" != 0 ]; then
  if command -v sudo >/dev/null; then run="sudo"; else
    echo "setup: these packages are missing and only root can install them:$missing" >&2
    exit 1
  fi
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $run apt-get update -q && $run env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: could not install:$missing" >&2
  exit 1
fi
