#!/bin/sh
# Runs every fuzz target of the module, one after the other, for the time given.
set -eu
time=${1:-20s}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# fuzz runs one target. When the time ends while a new input is being looked at,
# go reports its own deadline as a failure: such a run is repeated, once. A real
# failure leaves a failing input, and is never repeated.
fuzz() {
	for again in yes no; do
		status=0
		go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x "$1" </dev/null >"$out" 2>&1 || status=$?
		cat "$out"
		[ $status != 0 ] || return 0
		if [ $again = no ] || grep -q 'Failing input' "$out" || ! grep -q '^ *context deadline exceeded$' "$out"; then
			return $status
		fi
		echo "fuzz $1 $2: go's own deadline, not an input; once more"
	done
}

go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	targets=$(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' || true)
	for target in $targets; do
		echo "fuzz $pkg $target $time"
		fuzz "$pkg" "$target"
	done
done
