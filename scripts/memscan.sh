#!/bin/sh
# Scans the memory of real signers, taggers and cores for pieces of their keys,
# in both builds and at every level of memory; see docs/security/keys.md. Needs
# Linux and root, and leaves everything out, loudly, without. The last line of
# the output is the result as JSON.
set -eu
cd "$(dirname "$0")/.."
export CGO_ENABLED=0

if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
	echo "memscan: NOT SCANNED: reading the memory of the children needs Linux and root" >&2
	echo '{"modes":[],"ok":false,"skipped":"needs Linux and root"}'
	exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
ok=true

# The seams of the scan must not be in what is released; nor may this check be
# blind, so the binary that scans must have them.
GOEXPERIMENT=runtimesecret go build -o "$out/td" ./cmd/td
if go tool nm "$out/td" | grep -qi memscan; then
	echo "memscan: the release build contains the seams of the scan" >&2
	ok=false
fi

for experiment in runtimesecret ''; do
	GOEXPERIMENT=$experiment go test -c -tags memscan -o "$out/scan" ./internal/keyholder
	if ! go tool nm "$out/scan" | grep -q memscanSeed; then
		echo "memscan: the scanning build does not contain its own seams" >&2
		ok=false
	fi
	if ! (cd internal/keyholder && TD_MEMSCAN=1 TD_MEMSCAN_OUT="$out/modes" "$out/scan" -test.v -test.run '^TestMemscan'); then
		ok=false
	fi
done

modes=$(paste -sd, "$out/modes" 2>/dev/null || true)
[ -n "$modes" ] || ok=false
printf '{"modes":[%s],"ok":%s}\n' "$modes" "$ok"
[ "$ok" = true ]
