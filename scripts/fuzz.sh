#!/bin/sh
# Runs every fuzz target of the module, two at a time with one worker each: on two
# processors the start of one costs the other nothing. The budget, in seconds, is for all
# of them: each has the same share, at least one second. The instrumented binary of a
# package is built once, before all: "go test -fuzz" would link it for every target. The
# first is built alone, so that what all share is compiled once; then two at a time. With
# less than two seconds for a target nothing is instrumented: coverage guides nothing in so
# short a time, and to compile all dependencies once more would take minutes.
set -eu
atOnce=2

# "fuzz.sh one OUT CACHE TIME DIR PKG TARGET" runs one target. When the time ends while a
# new input is being looked at, the binary reports its own deadline as a failure: such a
# run is repeated, once. A real failure leaves a failing input, and is never repeated.
name() { echo "$1" | tr / _; } # the file of a package's binary
if [ "${1:-}" = one ]; then
	out=$2 cache=$3 time=$4 dir=$5 pkg=$6 target=$7
	log=$out/$(name "$pkg").$target.log
	cd "$dir"
	for again in yes no; do
		status=0
		"$out/$(name "$pkg")" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.parallel 1 -test.fuzzminimizetime 10x \
			-test.fuzzcachedir "$cache/$pkg" </dev/null >"$log" 2>&1 || status=$?
		{ echo "fuzz $pkg $target $time" && cat "$log"; } >"$log.said" && cat "$log.said"
		[ $status != 0 ] || exit 0
		if [ $again = no ] || grep -q 'Failing input' "$log" || ! grep -q '^ *context deadline exceeded$' "$log"; then
			exit $status
		fi
		echo "fuzz $pkg $target: its own deadline, not an input; once more"
	done
fi

cd "$(dirname "$0")/.."
budget=${1:-420}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cache=$(go env GOCACHE)/fuzz

go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | sed "s|^func |$dir $pkg |" || true
done >"$out/targets"
count=$(wc -l <"$out/targets")
share=$((budget * 1000 * atOnce / count))
[ "$share" -ge 1000 ] || share=1000
guided=-fuzz=.
[ "$share" -ge 2000 ] || guided=-vet=off

cut -d ' ' -f 2 "$out/targets" | sort -u | while read -r pkg; do echo "$out/$(name "$pkg") $pkg"; done >"$out/builds"
for lines in 1,1 '2,$'; do
	sed -n "${lines}p" "$out/builds" | xargs -P 2 -L 1 go test -c $guided -ldflags='-s -w' -o
done

xargs -P $atOnce -L 1 ./scripts/fuzz.sh one "$out" "$cache" "${share}ms" <"$out/targets"
