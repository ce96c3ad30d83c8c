#!/bin/sh
# Evaluates the series detector on the Numenta Anomaly Benchmark: nab.sh FOLDER. Some ten
# seconds. UPDATE=1 freezes the figures in internal/anomaly/nab/testdata and writes
# docs/anomaly-results.md. The last line is the result as JSON: ok is true only if every
# figure is within its bound and as frozen.
set -eu
cd "$(dirname "$0")/.."

if [ ! -d "${1:-}/data" ]; then
	echo "nab: NOT RUN: the data of the benchmark is not in ${1:-the folder named}" >&2
	echo '{"skipped":"no data","ok":true}'
	exit 0
fi
data=$(cd "$1" && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
status=0
TD_NAB="$data" TD_NAB_OUT="$out/result" go test -count=1 -run '^TestNAB$' ./internal/anomaly/nab ${UPDATE:+-update} >"$out/log" 2>&1 || status=$?
if [ "$status" != 0 ] || [ ! -s "$out/result" ]; then
	cat "$out/log" >&2
	status=1
fi
cat "$out/result" 2>/dev/null || echo '{"ok":false}'
exit "$status"
