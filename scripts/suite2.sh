#!/bin/sh
# Proves and verifies random statements of every claim of suite 2, refuses mutants of the
# proofs, and compares sizes and processor time with the PLONK claims: TestSuite2 in
# claim. The second verifier, proof/ts, judges the same proofs and mutants, and both of its
# sides are measured in node, where npm is installed. It also gets random parameters, events
# and member lists: its statements, witnesses and refusals must be those of Go (TestCases in
# proof/claims). Full, Go in WebAssembly is measured in node as well, and the known answers are
# made on arm64, where qemu-aarch64 is installed.
#
# The last line is the result as JSON. ok is true only if every verdict is right, the proofs of
# each claim are on average no larger than their goal, and proving takes at most a quarter of
# the time of PLONK in the same run. in_time says whether the goals for the times were met.
#
# Full, it takes about half an hour, with 10,000 proofs and as many mutants of each claim,
# 1,000 of which the second verifier gets, and 60,000 cases about JSON; SHORT=1 takes less
# than half a minute, with 12 and 3 of each, and 2,000.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mode=full
if [ "${SHORT:-}" != "" ]; then
	mode=short
fi

at=bin/ts
if command -v npm >/dev/null; then
	if ! cmp -s proof/ts/package-lock.json $at/node_modules/.installed; then
		mkdir -p $at
		cp proof/ts/package.json proof/ts/package-lock.json $at/
		npm ci --prefix $at --ignore-scripts --no-audit --no-fund --loglevel=error >&2
		cp proof/ts/package-lock.json $at/node_modules/.installed
	fi
	$at/node_modules/.bin/tsc -p proof/ts --typeRoots $at/node_modules/@types
	mkfifo "$out/cases"
	exec 3<>"$out/cases" # keeps a writer until the test has ended, even if node exits
	node $at/out/main.js docs/spec/vectors <"$out/cases" 3<&- >"$out/second" 2>"$out/second.log" &
	second=$!
	export TD_SUITE2_CASES="$out/cases"
elif [ "${CI:-}" = true ]; then
	echo "suite2: npm is not installed" >&2
	exit 1
else
	echo "suite2: the second verifier was NOT RUN: npm is not installed" >&2
	echo null >"$out/second"
	second=''
fi

status=0
TD_SUITE2=$mode TD_SUITE2_OUT="$out/result" go test -vet=off -count=1 -timeout 90m -v -run '^TestSuite2$' ./claim >"$out/log" 2>&1 || status=$?
if [ "$status" != 0 ] || [ ! -s "$out/result" ]; then
	cat "$out/log" >&2
	status=1
	[ -s "$out/result" ] || echo '{"ok":false}' >"$out/result"
fi
if [ -n "$second" ]; then
	TD_SUITE2=$mode go test -vet=off -count=1 -v -run '^TestCases$' ./proof/claims >"$out/log" 2>&1 || {
		cat "$out/log" >&2
		status=1
	}
	exec 3<&-
	wait "$second" || {
		cat "$out/second.log" >&2
		status=1
	}
	[ -s "$out/second" ] || echo null >"$out/second"
fi
# Milliseconds of processors in node, as in a browser. In short mode the Go prover is not
# compiled to WebAssembly, which takes a minute the first time.
typescript=null
wasm=null
if [ -n "$second" ]; then
	typescript=$(node $at/out/time.js docs/spec/vectors/suite2.json)
fi
if ! command -v node >/dev/null; then
	echo "suite2: the figures as in a browser were NOT RUN: node is not installed" >&2
elif [ "$mode" = full ]; then
	GOOS=js GOARCH=wasm CGO_ENABLED=0 GOEXPERIMENT='' go test -vet=off -c -o "$out/claims.wasm" ./proof/claims
	wasm=$(cd proof/claims && node --stack-size=8192 "$(go env GOROOT)/lib/wasm/wasm_exec_node.js" "$out/claims.wasm" -test.run '^TestBrowser$' | grep '^{')
fi
# The known answers, made with fixed coins, on an architecture that is emulated.
arm64=null
if [ "$mode" = short ]; then
	echo "suite2: the known answers on arm64 and Go in WebAssembly were NOT RUN: short mode" >&2
elif ! command -v qemu-aarch64 >/dev/null; then
	echo "suite2: the known answers on arm64 were NOT RUN: qemu-aarch64 is not installed" >&2
else
	GOARCH=arm64 CGO_ENABLED=0 GOEXPERIMENT='' go test -vet=off -c -o "$out/claims.arm64" ./proof/claims
	arm64=true
	(cd proof/claims && qemu-aarch64 "$out/claims.arm64" -test.v -test.run '^TestAnswers$') >"$out/arm64" 2>&1 || true
	if ! grep -q '^--- PASS: TestAnswers ' "$out/arm64"; then
		cat "$out/arm64" >&2
		arm64=false
		status=1
	fi
fi
ok=true
[ "$status" = 0 ] || ok=false
printf '{"go":%s,"typescript":%s,"browser":{"go_wasm":%s,"typescript":%s},"answers_on_arm64":%s,"ok":%s}\n' \
	"$(cat "$out/result")" "$(cat "$out/second")" "$wasm" "$typescript" "$arm64" "$ok"
exit "$status"
