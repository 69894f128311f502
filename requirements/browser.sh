#!/bin/sh
# Brings what the tests of the page need: Debian's Chromium, axe-core and TypeScript. Without these
# they are skipped. Playwright itself is in dev.txt; it drives the system's Chromium.
set -eu

here=$(dirname "$0")
if ! command -v chromium >/dev/null; then
    if [ "$(id -u)" != 0 ]; then
        echo "Install Chromium first: sudo apt-get install chromium" >&2
        exit 1
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium
fi
if ! command -v npm >/dev/null; then
    echo "npm is missing: axe-core and TypeScript can't be installed" >&2
    exit 1
fi
npm install --prefix "$here/../tests/web" --no-package-lock --no-audit --no-fund --silent
