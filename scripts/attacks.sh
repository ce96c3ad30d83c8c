#!/bin/sh
# Attacks whose log is believed and what is believed of it, see
# docs/security/trust.md: TestAttacksTrust in cmd/td, against real servers and the
# real commands. The attacks TestThreat_ of the threat model run with them. Prints a line
# for each attack of the former with what the commands of the victim said. The last line is
# the result as JSON: ok is true only if no command was fooled and none of the attacks was
# left out in silence.
#
# With SHORT=1 few requests are issued and abandoned, else as many as an epoch
# issues; and of the threat model only leaked keys, canaries and a rogue prover are attacked.
set -eu
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
: >"$out/results"
go test -c -ldflags='-s -w' -o "$out/attacks" ./cmd/td

threats='TestThreat_Leaked.*|TestThreat_Canaries|TestThreat_RogueProver'
if [ "${SHORT:-}" = "" ]; then
	export TD_ATTACKS_FULL=1
	threats='TestThreat_.*'
fi
ok=true
(cd cmd/td && TD_ATTACKS_OUT="$out/results" "$out/attacks" -test.timeout 60m -test.parallel 4 -test.run "^(TestAttacksTrust|$threats)\$") >"$out/log" 2>&1 || ok=false
[ -s "$out/results" ] || ok=false
if [ "$ok" = false ]; then
	cat "$out/log" >&2
fi
if grep -q '"skipped: ' "$out/results"; then
	echo "attacks: LEFT OUT, in part:" >&2
	grep '"skipped: ' "$out/results" >&2
	if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && [ "$(uname -s)" = Linux ]; then
		ok=false
	fi
fi

sed 's/^{"name":"\(.*\)","verdict":"\(.*\)"}$/\1: \2/' "$out/results"
printf '{"attacks":[%s],"ok":%s}\n' "$(paste -sd, "$out/results")" "$ok"
[ "$ok" = true ]
