#!/bin/sh
# Compiles the tests of known answers for arm64 and runs them there: natively, or emulated
# by qemu-aarch64 (Debian: qemu-user, qemu-user-static). These are the vectors of TD/1 and
# of suite 2, receipts of earlier releases, both implementations of ML-DSA against each other,
# and the assembly that wipes registers. Every test that is named here has to pass; a skip
# counts as a failure. Reports elsewhere that nothing was run. The last line is the result
# as JSON.
set -eu
cd "$(dirname "$0")/.."

emulator=''
if [ "$(uname -m)" != aarch64 ]; then
	emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)
	if [ -z "$emulator" ]; then
		echo "arm64: NOT RUN: it needs qemu-aarch64" >&2
		echo '{"packages":[],"skipped":"needs qemu-aarch64","ok":true}'
		exit 0
	fi
fi
out=$(mktemp -d) packages='' ok=true began=$(date +%s)
trap 'rm -rf "$out"' EXIT

# run PACKAGE TEST... compiles the tests of a package and runs these.
run() {
	dir=$1 start=$(date +%s)
	shift
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go test -vet=off -c -o "$out/test" "./$dir"
	built=$(date +%s)
	(cd "$dir" && $emulator "$out/test" -test.v -test.run "^($(echo "$*" | tr ' ' '|'))\$") >"$out/log" 2>&1 || true
	passed=$(grep -c '^--- PASS: ' "$out/log" || true)
	if [ "$passed" != $# ] || [ "$(tail -n 1 "$out/log")" != PASS ]; then
		echo "arm64: $dir: $passed of $# tests passed" >&2
		cat "$out/log" >&2
		ok=false
	fi
	seconds=$(($(date +%s) - built))
	echo "$dir: $passed of $# tests passed in $seconds s, after $((built - start)) s to compile"
	packages="$packages${packages:+,}{\"package\":\"$dir\",\"passed\":$passed,\"of\":$#,\"compile_seconds\":$((built - start)),\"seconds\":$seconds}"
}

run protocol TestVectorsHash TestVectorsDerivations TestVectorsStatements TestVectorsOpenings \
	TestCanonicalizeVectors TestLeafVectors TestPayloadVectors TestTextForms
run claim TestCompressVectors TestStatementVectors TestLiteralVectors TestRefusalVectors TestCircuitsAcceptVectors TestVerifyPlonkVectors
run proof/claims TestAnswers
run receipt TestGolden
run . TestAccepted
run internal/keyholder TestAgainstOracle
run internal/secret TestDo TestDoErasesTheStack
export GOEXPERIMENT='' # then our own code wipes registers and stack
run internal/secret TestDo TestDoErasesTheStack TestDoKeepsItsStack
printf '{"emulated":%s,"packages":[%s],"seconds":%s,"ok":%s}\n' \
	"$([ -n "$emulator" ] && echo true || echo false)" "$packages" "$(($(date +%s) - began))" "$ok"
[ "$ok" = true ]
