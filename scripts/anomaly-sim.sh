#!/bin/sh
# Measures the statistical detectors in virtual time: one cause over simulated years, and
# the attacks of internal/anomaly/inject in synthetic traffic. Full, it takes some minutes of
# one processor and writes docs/anomaly-results.md; SHORT=1 takes some seconds and writes
# nothing. The last line is the result as JSON.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

ok=true
rates='{}'
injector='{}'
if [ "${SHORT:-}" = "" ]; then
	export TD_ANOMALY=1 TD_ANOMALY_OUT="$out"
fi
run() {
	go test -count=1 -timeout 30m -v -run "$1" "$2" >"$out/log" 2>&1 || ok=false
	grep -v '^=== ' "$out/log" >&2
}
run '^TestStream$' ./internal/anomaly
run '^TestAttacks$' ./internal/anomaly/inject
if [ -s "$out/rates.json" ]; then rates=$(cat "$out/rates.json"); fi
if [ -s "$out/injector.json" ]; then injector=$(cat "$out/injector.json"); fi
echo "{\"rates\":$rates,\"injector\":$injector,\"ok\":$ok}"
$ok
