#!/bin/sh
# Makes internal/anomaly/testdata/quiet-*.jsonl.gz: the events of a real server under an hour
# of small, normal load, with a rotation, a restart and a deploy. The detectors of anomalies
# must find nothing in them. Needs curl. MINUTES is the length of each of the six phases.
set -eu
cd "$(dirname "$0")/.."
phase=$((${MINUTES:-10} * 60)) out=$PWD/internal/anomaly/testdata
dir=$(mktemp -d)
chmod 755 "$dir"
go build -o "$dir/td1" ./cmd/td
go build -ldflags=-s -o "$dir/td2" ./cmd/td # another build
td=$dir/td1
export TD_DATA="$dir/data" TD_SERVER=http://127.0.0.1:18083 XDG_STATE_HOME="$dir/state" HOME="$dir"
loads='' server=''
stop() {
	# shellcheck disable=SC2086 # a list of process ids
	kill $loads $server 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM
# serve PROGRAM NUMBER starts a server that records into a file of its own.
serve() {
	"$1" serve --listen 127.0.0.1:18083 --record "$dir/record-$2.jsonl" --log-addresses hash 2>>"$dir/log" &
	server=$!
	until curl -s "$TD_SERVER/v1/status" >/dev/null; do sleep 0.2; done
}
finish() {
	kill "$server"
	wait "$server" || true
}
# load PAUSE COMMAND... runs a command again and again, with a pause after each.
load() {
	pause=$1
	shift
	while :; do
		"$@" >/dev/null 2>&1 || true
		sleep "$pause"
	done
}
background() {
	load "$@" &
	loads="$loads $!"
}
honest() {
	rm -rf "receipts/$1"
	into=receipts/$1
	shift
	"$td" submit --out "$into" "$@"
}
pushed() {
	curl -s -d '{"claim":"open/1","params":{},"event":{"lot":"2026-11-B"}}' -H 'Content-Type: application/json' "$TD_SERVER/v1/events"
}

serve "$dir/td1" 1
cd "$dir"
echo '{"lot": "2026-11-A", "note": "sealed at the mill"}' >event.json
echo '{"sensor": "office", "readings": [69.88, 71.22, 70.06]}' >readings.json
echo '{"values": [{"at": "/readings", "lo": 60, "hi": 80}], "scale": 2, "offset": 0}' >params.json
"$td" trust add >/dev/null
background 3 honest open/1 --claim open/1 event.json
background 5 honest range/1 --claim range/1 --params params.json readings.json
background 1 curl -s "$TD_SERVER/v1/epochs"
background 6 pushed
sleep "$phase"
"$td" admin rotate --reason "the rotation of the record" >/dev/null
sleep "$phase"
finish
serve "$dir/td1" 2
sleep $((2 * phase))
finish
serve "$dir/td2" 3
sleep $((2 * phase))
finish
mkdir -p "$out"
# Ids of requests are random and not needed; that there is one is. Marks are kept.
for n in 1 2 3; do
	sed 's/"request_id":"\([^"]*\)"/"request_id":"01010101010101010101010101010101"/' "record-$n.jsonl" | gzip -9n >"$out/quiet-$n.jsonl.gz"
done
ls -l "$out"
