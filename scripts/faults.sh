#!/bin/sh
# Injects faults into real servers and looks whether anything that was
# acknowledged is lost: TestFaults in internal/faults, whose package comment says
# what is injected. The last line is the result as JSON: ok is true only if nothing
# was lost or doubled, and every control was found out.
#
# Full, it takes up to 10 minutes on two processors; with SHORT=1 few faults of each
# kind are injected. SEED repeats the choices of another run. Power cuts, device
# errors and some file faults need root, FUSE and loop devices; what is not run is
# named on standard error and in the JSON.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

if [ "$(uname -s)" != Linux ]; then
	echo "faults: NOT RUN: they need Linux" >&2
	echo '{"faults":{},"skipped":{"all":"needs Linux"},"ok":true}'
	exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
echo "faults: seed $seed"
go build -ldflags='-s -w' -o "$out/td" ./cmd/td
go test -c -ldflags='-s -w' -o "$out/faults" ./internal/faults

faults=full
if [ "${SHORT:-}" != "" ]; then
	faults=short
fi
status=0
(cd internal/faults && TD_BIN="$out/td" TD_FAULTS=$faults TD_FAULTS_SEED="$seed" TD_FAULTS_OUT="$out/result" \
	"$out/faults" -test.v -test.timeout 20m -test.parallel 8 -test.run '^TestFaults$') >"$out/log" 2>&1 || status=$?
if [ "$status" != 0 ] || [ ! -s "$out/result" ]; then
	cat "$out/log" >&2
	status=1
fi
grep 'NOT RUN: ' "$out/log" >&2 || true
cat "$out/result"
exit "$status"
