#!/bin/sh
# Scans the memory of real signers, taggers, provers and cores for pieces of
# keys and signatures, in both builds and at every level of memory, and all that
# a server writes, answers and says to its children; see docs/security/keys.md.
# Needs Linux and root, and leaves out, loudly, what it cannot look into. The
# last line of the output is the result as JSON: ok is true only if everything
# was scanned and nothing was found.
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
: >"$out/modes"
failed=''
fail() {
	echo "memscan: $*" >&2
	failed=yes
}

# What is released has no trace of the scan, and differs from what is scanned in
# the file with the seams alone. Nor may this check be blind: the program that
# is scanned must have a trace.
sources() { go list -deps -f '{{$p := .ImportPath}}{{range .GoFiles}}{{$p}}/{{.}}{{"\n"}}{{end}}{{range .SFiles}}{{$p}}/{{.}}{{"\n"}}{{end}}' "$@" ./cmd/td; }
GOEXPERIMENT=runtimesecret go build -trimpath -o "$out/released" ./cmd/td
if grep -aqi memscan "$out/released"; then
	fail "the release build contains seams of the scan"
fi
sources >"$out/without"
sources -tags memscan >"$out/with"
changed=$(diff "$out/without" "$out/with" | sed -n 's|^\([<>]\) .*/td/|\1 |p' | tr '\n' ' ')
if [ "$changed" != '< internal/keyholder/seam.go > internal/keyholder/seam_memscan.go ' ]; then
	fail "the builds differ in more than the seams: $changed"
fi

for experiment in runtimesecret ''; do
	export GOEXPERIMENT=$experiment
	go build -tags memscan -ldflags='-s -w' -o "$out/td" ./cmd/td
	go test -c -tags memscan -ldflags='-s -w' -o "$out/scan" ./internal/keyholder
	if ! grep -aq memscanSeed "$out/td"; then
		fail "the scanned build does not contain the seams of the scan"
	fi
	(cd internal/keyholder && TD_MEMSCAN=1 TD_MEMSCAN_PROGRAM="$out/td" TD_MEMSCAN_OUT="$out/modes" \
		"$out/scan" -test.v -test.run '^TestMemscan') || fail "keys were found, or the scan did not work"
done

modes=$(paste -sd, "$out/modes")
[ -n "$modes" ] || fail "nothing was scanned"
if [ -n "$failed" ]; then
	printf '{"modes":[%s],"ok":false}\n' "$modes"
	exit 1
fi
if grep -q '"skipped"' "$out/modes"; then
	echo "memscan: NOT SCANNED, in part:" >&2
	grep '"skipped"' "$out/modes" >&2
	printf '{"modes":[%s],"ok":false,"skipped":"%s"}\n' "$modes" "$(grep -c '"skipped"' "$out/modes") of $(wc -l <"$out/modes") modes"
	exit 0
fi
printf '{"modes":[%s],"ok":true}\n' "$modes"
