#!/bin/sh
# Removes every guard of the packages that decide, one at a time, and wants a test to
# fail; internal/mutants says what a guard is. Then puts the faults listed in
# proof/mutants_test.go into the code of the proofs. It takes long; ONLY names packages,
# with commas between, proof among them. The last line is the result as JSON: ok is true
# only if nothing survived.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
status=0
echo '{"mutants":[],"ok":true}' >"$out/result"
case ",${ONLY:=all}," in
,all, | *,proof,*) TD_MUTANTS=all go test -count=1 -timeout 30m -v -run '^TestMutants$' ./proof >&2 || status=1 ;;
esac
if [ "$ONLY" != proof ]; then
	rm "$out/result"
	TD_MUTANTS=$ONLY TD_MUTANTS_OUT="$out/result" go test -count=1 -timeout 4h -v -run '^TestMutants$' ./internal/mutants >&2 || status=1
fi
if [ ! -s "$out/result" ]; then # it did not compile, or a test fails without a mutant
	echo '{"mutants":[],"ok":false}' >"$out/result"
elif [ "$status" != 0 ]; then
	sed -i 's/"ok":true}$/"ok":false}/' "$out/result"
fi
cat "$out/result"
exit "$status"
