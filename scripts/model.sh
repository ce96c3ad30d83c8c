#!/bin/sh
# Checks the formal model: the runs of model/expectations.txt, see docs/security/model.md.
# Less than a minute; SHORT=1 takes less than 20 s, FULL=1 runs all, which takes a quarter
# of an hour or more, and up to 4 GB of memory. Needs spin and gcc, and reports elsewhere
# that nothing was checked. The last line is the result as JSON: ok is true only if every
# run ended as expected.
set -eu
cd "$(dirname "$0")/.."

for tool in spin gcc; do
	if ! command -v "$tool" >/dev/null; then
		echo "model: NOT CHECKED: it needs $tool" >&2
		echo "{\"runs\":[],\"skipped\":\"needs $tool\",\"ok\":true}"
		exit 0
	fi
done
set=small
[ -z "${SHORT:-}" ] || set=short
[ -z "${FULL:-}" ] || set=full
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
TD_MODEL=$set go test -count=1 -vet=off -timeout 3h -v -run '^TestModel$' ./model >"$out" || status=$?
if [ "$status" != 0 ]; then
	cat "$out" >&2
fi
sed -n 's/^ *run_test.go:[0-9]*: \(holds\|attack\)/\1/p' "$out"
grep '^{"set":' "$out" || echo '{"runs":[],"ok":false}'
exit "$status"
