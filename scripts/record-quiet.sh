#!/bin/sh
# Makes internal/anomaly/testdata/quiet-*.jsonl.gz: the events of a real server under an hour
# of small, normal load, with a rotation, a restart and a deploy. The detectors of anomalies
# must find nothing in them. Needs curl. MINUTES is the length of each of the six phases.
set -eu
cd "$(dirname "$0")/.."
phase=$((${MINUTES:-10} * 60)) out=$PWD/internal/anomaly/testdata
port=18083
. scripts/record-load.sh
go build -o "$dir/td1" ./cmd/td
go build -ldflags=-s -o "$dir/td2" ./cmd/td # another build
td=$dir/td1

serve "$dir/td1" record-1
examples
background 3 honest open/1 --claim open/1 event.json
background 5 honest range/1 --claim range/1 --params params.json readings.json
background 1 curl -s "$TD_SERVER/v1/epochs"
background 6 pushed
sleep "$phase"
"$td" admin rotate --reason "the rotation of the record" >/dev/null
sleep "$phase"
finish
serve "$dir/td1" record-2
sleep $((2 * phase))
finish
serve "$dir/td2" record-3
sleep $((2 * phase))
finish
mkdir -p "$out"
for n in 1 2 3; do
	pack "record-$n" "$out/quiet-$n.jsonl.gz"
done
ls -l "$out"
