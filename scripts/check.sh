#!/bin/sh
# Everything that decides whether a change lands, cheap things first. Prints the
# seconds of each step at its end. The last line is the result as JSON; ok is true
# only if every step passed.
set -eu
cd "$(dirname "$0")/.."
steps='' sum=0 ok=false beside='' said=$(mktemp)

report() {
	[ -z "$beside" ] || kill "$beside" 2>/dev/null || true
	rm -f "$said"
	printf '{"steps":[%s],"seconds":%s,"ok":%s}\n' "$steps" "$sum" "$ok"
}
trap report EXIT

# step NAME COMMAND... runs a command and adds its seconds, also when it fails.
step() {
	name=$1 status=0 began=$(date +%s)
	shift
	printf '\n== %s\n' "$name"
	"$@" || status=$?
	seconds=$(($(date +%s) - began))
	printf -- '-- %s: %s s\n' "$name" "$seconds"
	steps="$steps${steps:+,}{\"name\":\"$name\",\"seconds\":$seconds}"
	sum=$((sum + seconds))
	[ "$status" = 0 ] || exit "$status"
}

# beside COMMAND... runs a command that mostly waits beside the next step. The step
# after that, joined, prints what it said and fails if it has failed.
beside() {
	"$@" >"$said" 2>&1 &
	beside=$!
}
joined() {
	status=0
	wait "$beside" || status=$?
	beside=''
	cat "$said"
	return "$status"
}

step "format, modules, vet, linters, dead code" make lint
# The tests compare what else is generated; TestGenerators checks that they do.
step "generated data" sh -c 'go generate ./claim && git diff --exit-code -- claim'
step "reviews by date (a warning only)" make reviews
step "linters of the API description (needs npm: NOT LINTED elsewhere)" make openapi
step "build with runtimesecret" make build
step "build without runtimesecret" env GOEXPERIMENT= go build -o /dev/null ./cmd/td
step "unit file, in short (needs root and systemd: NOT RUN elsewhere)" make unit SHORT=1
step "image (needs root: NOT RUN elsewhere)" make container
# make lint has vetted already. The attacks on trust and on the threat model have a step of
# their own. Those of the injector on a running server wait for minutes, as alerts do, and
# three cosigners and outer layers for half a minute each: they are in make test and not
# here, where detectors and cosigner are attacked in packages of their own. Whole servers
# are tested with fewer rounds.
step "tests of packages, and every benchmark once" make test PACKAGES="$(go list ./... | grep -v /cmd/td | tr '\n' ' ')" TESTFLAGS='-shuffle=on -vet=off -bench . -benchtime 1x'
step "tests of whole servers, in short" make test PACKAGES=./cmd/td TESTFLAGS="-short -shuffle=on -vet=off -skip 'TestAttacksTrust|TestThreat_|TestAttacksOnServer|TestThreeCosigners|TestApproval|TestOuterLayers'"
step "formal model, in short (needs spin and gcc: NOT CHECKED elsewhere)" make model SHORT=1
beside make faults SHORT=1
step "attacks on trust, in short" make attacks-trust SHORT=1
step "faults, in short (power cuts and disks need root and FUSE: NOT RUN elsewhere)" joined
# The game days mostly wait, so the scan runs beside them.
beside nice -n 19 make vuln
step "game days, in short" make gamedays SHORT=1
step "known vulnerabilities" joined
step "attacks, in short (floods from other addresses need root: NOT RUN elsewhere)" make attack SHORT=1
step "detector on an open benchmark (needs its data: NOT RUN elsewhere)" make nab
step "suite 2, in short (second verifier needs npm: NOT RUN elsewhere)" make suite2 SHORT=1
beside make memscan FREEZES="${FREEZES:-12}"
step "race detector (short)" make race TESTFLAGS="-shuffle=on -vet=off"
step "keys in memory (needs Linux and root: NOT SCANNED elsewhere)" joined
step "fuzz, briefly" make fuzz FUZZBUDGET="${FUZZBUDGET:-24}"
ok=true
printf '\n== check passed\n'
