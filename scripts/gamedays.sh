#!/bin/sh
# Plays game days with real servers: TestGameDays in cmd/td, and the kills and full
# disks of TestFaults in internal/faults; docs/operate.md lists them. The last line is
# the result as JSON: ok is true only if every game ended as it should.
#
# Full, it takes up to 10 minutes on two processors. SHORT=1 plays the games of cmd/td,
# shortened, in some 30 s; make faults SHORT=1 has some kills and two of the disks. SEED
# repeats the choices of another run. The disks need root, FUSE and loop devices; what is
# not run is named on standard error and in the figures.
set -eu
cd "$(dirname "$0")/.."

if [ "$(uname -s)" != Linux ]; then
	echo "gamedays: NOT RUN: they need Linux" >&2
	echo '{"games":[],"skipped":"needs Linux","ok":true}'
	exit 0
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
: >"$out/games"
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
echo "gamedays: seed $seed"
kills='kill -9 of each process under load' disks='disk full, inodes used up, read-only'
mode=full skipped=''
if [ "${SHORT:-}" != "" ]; then
	mode=short
	skipped=',"skipped":{"'$kills'":"make faults SHORT=1 has some","'$disks'":"make faults SHORT=1 has some"}'
	echo "gamedays: NOT RUN: kills and disks, of which make faults SHORT=1 has some" >&2
fi
go build -trimpath -o bin/td ./cmd/td
go test -c -ldflags=-w -tags gameday -o "$out/gamedays" ./cmd/td
ok=true
fail() {
	echo "gamedays: $*" >&2
	ok=false
}

# What is released has no trace of the clock that can be stepped, and differs from what
# is played with in that file alone. Nor may this check be blind.
sources() { go list -deps -f '{{$p := .ImportPath}}{{range .GoFiles}}{{$p}}/{{.}}{{"\n"}}{{end}}' "$@" ./cmd/td; }
if grep -aqi gameday bin/td; then
	fail "the release build contains the clock of the game days"
fi
if ! grep -aq TD_GAMEDAY_CLOCK "$out/gamedays"; then
	fail "the build for the game days does not contain their clock"
fi
sources >"$out/without"
sources -tags gameday >"$out/with"
changed=$(diff "$out/without" "$out/with" | sed -n 's|^\([<>]\) .*/td/|\1 |p' | tr '\n' ' ')
if [ "$changed" != '< internal/node/clock.go > internal/node/clock_gameday.go ' ]; then
	fail "the builds differ in more than the clock: $changed"
fi

# fault NAME SERIES... plays a game of package faults; $out/NAME holds its result.
fault() {
	(cd internal/faults && TD_BIN=../../bin/td TD_FAULTS=gameday TD_FAULTS_ONLY="$2" TD_FAULTS_SEED="$seed" TD_FAULTS_OUT="$out/$1" \
		"$out/faults" -test.v -test.timeout 20m -test.parallel 8 -test.run '^TestFaults$') >"$out/$1.log" 2>&1
}
# game PID NAME WORDS waits for such a game and adds its result.
game() {
	verdict=true
	if ! wait "$1" || ! grep -q '"ok":true}$' "$out/$2"; then
		cat "$out/$2.log" >&2
		fail "$3"
		verdict=false
	fi
	grep 'NOT RUN: ' "$out/$2.log" | grep -v 'not asked for' >&2 || true
	printf '{"name":"%s","ok":%s,"figures":%s}\n' "$3" "$verdict" "$(cat "$out/$2" 2>/dev/null || echo null)" >>"$out/games"
}

# The games of cmd/td follow alone, because one compares times.
if [ "$mode" = full ]; then
	go test -c -ldflags=-w -o "$out/faults" ./internal/faults
	fault kills 'kills of any process' & kill=$!
	fault disks 'file faults' & disk=$!
	game "$kill" kills "$kills"
	game "$disk" disks "$disks"
fi
if ! (cd cmd/td && TD_GAMEDAYS=$mode TD_GAMEDAYS_SEED="$seed" TD_GAMEDAYS_OUT="$out/days" \
	"$out/gamedays" -test.v -test.timeout 20m -test.parallel 8 -test.run '^TestGameDays$') >"$out/days.log" 2>&1 || [ ! -s "$out/days" ]; then
	grep -v 'level=' "$out/days.log" >&2
	fail "a game of cmd/td"
fi
cat "$out/days" >>"$out/games" 2>/dev/null || true
printf '{"games":[%s]%s,"ok":%s}\n' "$(paste -sd, "$out/games")" "$skipped" "$ok"
[ "$ok" = true ]
