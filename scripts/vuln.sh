#!/bin/sh
# Scans for known vulnerabilities with a local copy of the Go database.
set -eu
db=$1
if [ ! -f "$db" ]; then
	echo "SKIPPED: no vulnerability database at $db"
	exit 0
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tar -xzf "$db" -C "$dir"
GOEXPERIMENT='' tools/bin/govulncheck -db "file://$dir" ./...
