# Shared by record.sh and record-quiet.sh, which source it from the top of the tree with the
# port in $port: a directory for the run, and the load of small, honest clients. The script
# sets $td, starts servers with serve, and ends with its traps.
dir=$(mktemp -d)
chmod 755 "$dir"
loads='' server=''
stop() {
	# shellcheck disable=SC2086 # a list of process ids
	kill $loads $server 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM

# serve PROGRAM RECORD ARGUMENT... starts a server that records into a file of the directory.
# Commands that follow use this server.
serve() {
	export TD_DATA="$dir/data" TD_SERVER="http://127.0.0.1:$port" XDG_STATE_HOME="$dir/state" HOME="$dir"
	program=$1 record=$dir/$2
	shift 2
	"$program" serve --listen "127.0.0.1:$port" --record "$record" --log-addresses hash "$@" 2>>"$dir/log" &
	server=$!
	until curl -s "$TD_SERVER/v1/status" >/dev/null; do sleep 0.2; done
}
# finish stops the server.
finish() {
	kill "$server"
	wait "$server" || true
}
# examples writes events and parameters into the directory, trusts the log, and goes there.
examples() {
	cd "$dir"
	echo '{"lot": "2026-11-A", "note": "sealed at the mill"}' >event.json
	echo '{"sensor": "office", "readings": [69.88, 71.22, 70.06]}' >readings.json
	echo '{"values": [{"at": "/readings", "lo": 60, "hi": 80}], "scale": 2, "offset": 0}' >params.json
	"$td" trust add >/dev/null
}
# load SECONDS COMMAND... runs a command again and again, with a pause after each.
load() {
	pause=$1
	shift
	while :; do
		"$@" >/dev/null 2>&1 || true
		sleep "$pause"
	done
}
# background SECONDS COMMAND... is load beside what follows.
background() {
	load "$@" &
	loads="$loads $!"
}
# honest NAME ARGUMENT... submits as a client does.
honest() {
	rm -rf "receipts/$1"
	into=receipts/$1
	shift
	"$td" submit --out "$into" "$@"
}
pushed() {
	curl -s -d '{"claim":"open/1","params":{},"event":{"lot":"2026-11-B"}}' -H 'Content-Type: application/json' "$TD_SERVER/v1/events"
}
# pack RECORD FILE compresses a record. Ids of requests are random and not needed; that there
# is one is. Marks are kept.
pack() {
	sed 's/"request_id":"\([^"]*\)"/"request_id":"01010101010101010101010101010101"/' "$dir/$1" | gzip -9n >"$2"
}
