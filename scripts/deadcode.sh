#!/bin/sh
# Finds functions that no program and no test calls, and functions that only tests
# call. The second kind may stay where scripts/deadcode.allow names it with a reason.
# The first run is for arm64, and stops at what does not compile there; the second,
# for this machine, finds what nothing calls as well, but not in tests and proof/.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
form='{{$path := .Path}}{{range .Funcs}}{{$path}}.{{.Name}}{{"\n"}}{{end}}'

# One after the other: each takes three gigabytes of memory.
GOOS=linux GOARCH=arm64 GOEXPERIMENT='' tools/bin/deadcode -test ./... >"$out/unused"
if [ -s "$out/unused" ]; then
	echo "nothing calls:"
	cat "$out/unused"
	exit 1
fi
tools/bin/deadcode -f "$form" ./... >"$out/found"
# Everything below proof/ is called by its tests alone until suite 2 is wired in.
sed -n 's|^github.com/terradourada/td/||p' "$out/found" | sed '/^proof\//d' | sort >"$out/tested"
sed 's/:.*//; /^#/d; /^$/d' scripts/deadcode.allow | sort >"$out/allowed"
if ! diff "$out/allowed" "$out/tested" >"$out/diff"; then
	echo "called by tests alone (>), or named in scripts/deadcode.allow without need (<):"
	grep '^[<>]' "$out/diff"
	exit 1
fi
