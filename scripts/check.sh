#!/bin/sh
# Everything that decides whether a change lands, cheap things first.
set -eu
began=$(date +%s)
step() { printf '\n== %s (%d s so far)\n' "$*" $(($(date +%s) - began)); }

step "format, modules, vet, linters"
make lint
step "generated files"
make docs
step "build with and without runtimesecret"
make build
GOEXPERIMENT='' go build -o /dev/null ./cmd/td
step "tests, but the attacks on trust"
make test TESTFLAGS="-skip TestAttacksTrust"
step "attacks on trust, in short"
make attacks-trust SHORT=1
step "faults, in short (power cuts need root and FUSE: NOT RUN elsewhere)"
make faults SHORT=1
step "keys in memory (needs Linux and root: NOT SCANNED elsewhere)"
make memscan FREEZES="${FREEZES:-20}"
step "race detector (short)"
make race
step "fuzz, briefly"
make fuzz FUZZTIME="${FUZZTIME:-2s}"
step "known vulnerabilities"
make vuln
step "benchmarks, once"
go test -run '^$' -bench . -benchtime 1x ./...
step "demo"
./bin/td demo
step "check passed"
