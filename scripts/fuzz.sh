#!/bin/sh
# Runs every fuzz target of the module, one after the other. The budget, in seconds,
# is for all of them: each has the same share, at least one second. The instrumented
# binary of a package is built once, before all: "go test -fuzz" would link it for every
# target. The first is built alone, so that what all share is compiled once; then two
# at a time.
set -eu
cd "$(dirname "$0")/.."
budget=${1:-420}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cache=$(go env GOCACHE)/fuzz

go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | sed "s|^func |$dir $pkg |" || true
done >"$out/targets"
count=$(wc -l <"$out/targets")
share=$((budget / count))
[ "$share" -ge 1 ] || share=1

# name is the file of a package's binary.
name() { echo "$1" | tr / _; }

cut -d ' ' -f 2 "$out/targets" | sort -u | while read -r pkg; do echo "$out/$(name "$pkg") $pkg"; done >"$out/builds"
for lines in 1,1 '2,$'; do
	sed -n "${lines}p" "$out/builds" | xargs -P 2 -L 1 go test -c -fuzz=. -ldflags='-s -w' -o
done

# fuzz runs one target. When the time ends while a new input is being looked at,
# the binary reports its own deadline as a failure: such a run is repeated, once. A
# real failure leaves a failing input, and is never repeated.
fuzz() {
	for again in yes no; do
		status=0
		(cd "$1" && "$out/$(name "$2")" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "${share}s" -test.fuzzminimizetime 10x \
			-test.fuzzcachedir "$cache/$2") </dev/null >"$out/log" 2>&1 || status=$?
		cat "$out/log"
		[ $status != 0 ] || return 0
		if [ $again = no ] || grep -q 'Failing input' "$out/log" || ! grep -q '^ *context deadline exceeded$' "$out/log"; then
			return $status
		fi
		echo "fuzz $2 $3: its own deadline, not an input; once more"
	done
}

while read -r dir pkg target; do
	echo "fuzz $pkg $target $share s"
	fuzz "$dir" "$pkg" "$target"
done <"$out/targets"
