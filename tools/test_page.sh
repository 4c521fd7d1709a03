#!/usr/bin/env bash
# make test-page: the page of g3n serve in headless Chromium, over the demo checkpoint. playwright-core (npm, version and checksum in
# tests/page/package-lock.json) goes to build/page. Usage: tools/test_page.sh [screenshots | chat media markdown settings access]
# Environment: G3N (the program, default build/release/g3n), CHROMIUM (default /usr/bin/chromium), G3N_WEB (a folder with the page's files,
# instead of those in the program).
set -eu
cd "$(dirname "$0")/.."
mkdir -p build/page
if ! cmp -s tests/page/package-lock.json build/page/package-lock.json || [ ! -d build/page/node_modules/playwright-core ]; then
  echo "test-page: fetching playwright-core (npm, 2 MB)"
  cp tests/page/package.json tests/page/package-lock.json build/page/
  npm ci --prefix build/page --silent --no-audit --no-fund --ignore-scripts || { echo "test-page: npm could not fetch playwright-core" >&2; exit 1; }
fi
if [ "${1:-}" = screenshots ]; then exec node --test-reporter=spec tests/page/screenshots.mjs; fi
exec node --test-reporter=spec tests/page/all.mjs "$@"
