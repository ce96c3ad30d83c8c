#!/bin/sh
# Attacks real servers with bounded load: TestAttack in internal/attack, whose package
# comment says how. The last line is the result as JSON: ok is true only if every figure
# is within its bound.
#
# Full, it takes about eight minutes on two processors; SHORT=1 takes less than half a
# minute. ONLY names parts to run, with commas between. The floods from other addresses
# than those of loopback need root, unshare and ip; what is not run is named on standard
# error and in the JSON.
set -eu
cd "$(dirname "$0")/.."

if [ "$(uname -s)" != Linux ]; then
	echo "attack: NOT RUN: it needs Linux" >&2
	echo '{"parts":[],"skipped":{"all":"needs Linux"},"ok":true}'
	exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
go build -trimpath -o bin/td ./cmd/td
go test -c -ldflags=-w -o "$out/attack" ./internal/attack
go test -c -ldflags=-w -o "$out/limit" ./internal/limit

# Run in a network namespace of its own if that is possible.
namespace=''
if [ "$(id -u)" = 0 ] && unshare --net ip link set lo up 2>/dev/null; then
	namespace='unshare --net --'
fi
mode=full
if [ "${SHORT:-}" != "" ]; then
	mode=short
fi
attack() {
	(cd internal/attack && TD_BIN=../../bin/td TD_LIMIT_TEST="$out/limit" TD_ALERTMANAGER="$(command -v prometheus-alertmanager || true)" TD_ATTACK=$mode TD_ATTACK_ONLY="${ONLY:-}" TD_ATTACK_OUT="$out/result" TD_ATTACK_NETNS="$namespace" \
		exec $namespace sh -c 'if [ -n "$TD_ATTACK_NETNS" ]; then ip link set lo up; fi; exec "$0" "$@"' \
		"$out/attack" -test.v -test.timeout 20m -test.run '^TestAttack$') >"$out/log" 2>&1
}
status=0
attack || status=$?
if [ "$status" != 0 ] || [ ! -s "$out/result" ]; then
	cat "$out/log" >&2
	status=1
fi
grep 'NOT RUN: ' "$out/log" >&2 || true
cat "$out/result"
exit "$status"
