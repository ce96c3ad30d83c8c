#!/bin/sh
# Proves and verifies random statements of every claim of suite 2, refuses mutants of the
# proofs, and compares sizes and processor time with the PLONK claims: TestSuite2 in
# claim. The last line is the result as JSON; ok is true only if every verdict is right
# and no figure is far above its goal.
#
# Full, it takes about half an hour, with 10,000 proofs and as many mutants of each claim;
# SHORT=1 takes less than 20 seconds, with 20 of each.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mode=full
if [ "${SHORT:-}" != "" ]; then
	mode=short
fi
status=0
TD_SUITE2=$mode TD_SUITE2_OUT="$out/result" go test -vet=off -count=1 -timeout 90m -v -run '^TestSuite2$' ./claim >"$out/log" 2>&1 || status=$?
if [ "$status" != 0 ] || [ ! -s "$out/result" ]; then
	cat "$out/log" >&2
	status=1
fi
cat "$out/result"
exit "$status"
