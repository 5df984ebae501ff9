#!/bin/sh
# Fetches Azurite, Azure's blob storage on one's own machine, into .peers/azurite for the tests of the object store.
#
# By npm, from the lock beside this script; nothing is installed elsewhere, no script of a package runs. Again: does nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
there=${READINGROOM_PEERS:-"$here/.peers"}/azurite
lock=$(sha256sum "$here/deploy/azurite/package-lock.json" | cut -d ' ' -f 1)

if [ "$(cat "$there/complete" 2>/dev/null)" = "$lock" ]; then
    exit 0
fi
command -v npm >/dev/null || { printf 'peers: Azurite comes by npm, and there is no npm here: install Node 20 or newer\n' >&2; exit 1; }
printf 'peers: Azurite and its Node modules (365 MB)\n'
rm -rf "$there"
mkdir -p "$there"
cp "$here/deploy/azurite/package.json" "$here/deploy/azurite/package-lock.json" "$there"
(cd "$there" && npm ci --silent --no-audit --no-fund --ignore-scripts)
printf '%s\n' "$lock" > "$there/complete"
