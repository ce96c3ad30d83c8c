#!/bin/sh
# Makes deploy/testdata/run.jsonl.gz, from which the pictures of docs/monitoring.md are
# drawn: the events of a real server in seven minutes of small load, with wrong tags, a
# rotation, a freeze, false proofs and requests that are not of the protocol. Needs curl.
# "make docs" draws the pictures afterwards.
set -eu
cd "$(dirname "$0")/.."
td=${TD:-$PWD/bin/td} out=$PWD/deploy/testdata/run.jsonl.gz scale=${SECONDS_PER_PHASE:-30}
port=18080
. scripts/record-load.sh
serve "$td" record --max-age 10m --max-issued 2000 --alert-every 5s --alert-window 30s --alert-keep 30s
examples

# during PHASES PAUSE COMMAND... is load for a number of phases.
during() {
	phases=$1
	shift
	load "$@" &
	one=$!
	loads="$loads $one"
	sleep $((phases * scale))
	kill "$one"
}
# challenge NAME opens a challenge and keeps its id and tag in NAME.id and NAME.tag.
challenge() {
	"$td" challenge --request --claim open/1 --private "$1.private" event.json |
		curl -s -H 'Content-Type: application/json' --data-binary @- "$TD_SERVER/v1/challenges" >"$1.json"
	sed 's/.*"request_id":"\([^"]*\)".*/\1/' "$1.json" >"$1.id"
	sed 's/.*"tag":"\([^"]*\)".*/\1/' "$1.json" >"$1.tag"
}
# answer ID TAG FILE sends a proof.
answer() {
	curl -s -H 'Content-Type: application/octet-stream' -H "TD-Tag: $2" --data-binary "@$3" "$TD_SERVER/v1/challenges/$1/proof"
}
false_proof() {
	rm -f false.*
	challenge false
	answer "$(cat false.id)" "$(cat false.tag)" proof.bin
}
abandoned() {
	rm -f left.*
	"$td" challenge --request --claim open/1 --ttl 5s --private left.private event.json |
		curl -s -H 'Content-Type: application/json' --data-binary @- "$TD_SERVER/v1/challenges"
}
# admin ARGUMENT... sends an order, again if the server is busy.
admin() {
	until "$td" admin "$@" >/dev/null; do sleep 1; done
}

challenge first
"$td" prove --challenge first.json --private first.private --opening first.opening >proof.bin
rm -f known.*
challenge known
other=$(cat first.tag) id=$(cat known.id)

background 1.5 honest open/1 --claim open/1 event.json
background 3 honest range/1 --claim range/1 --params params.json readings.json
background 0.5 curl -s "$TD_SERVER/v1/status"
background 5 abandoned
background 4 pushed
sleep $((2 * scale))
during 2 0.15 answer "$id" "$other" proof.bin                  # wrong tags
during 1 0.4 answer "00000000000000000000000000000000" "$other" proof.bin # an unknown id
admin rotate --reason "the rotation of the record"
sleep $((2 * scale))
admin freeze --issue --reason "the freeze of the record"
sleep $((scale))
admin thaw --issue --yes --reason "the end of the freeze"
sleep $((scale / 2))
during 2 0.3 false_proof
during 1 0.2 curl -s -d '{' -H 'Content-Type: application/json' "$TD_SERVER/v1/challenges"
sleep $((2 * scale))
finish
mkdir -p "${out%/*}"
pack record "$out"
ls -l "$out"
wc "$dir/record"
