# Terra Dourada. "make demo" shows the main job, "make test" runs the tests; both
# need only Go and make. "make check" decides whether a change lands.

export CGO_ENABLED ?= 0
export GOEXPERIMENT ?= runtimesecret
# With -trimpath what was compiled serves every copy of the sources, and every step has the
# same packages.
export GOFLAGS ?= -mod=readonly -trimpath

# Seconds, for all fuzz targets together.
FUZZBUDGET ?= 420
FREEZES ?= 40
TOOLS := tools/bin
DATA ?= ../shared/data

.PHONY: build sbom reproducible arm64 demo test matrix race race-system memscan attacks-trust attack anomaly-sim faults gamedays nab lint fuzz bench bench-once limit-compare docs reviews openapi man check vuln e2e powercut model mutants suite2 unit container tools clean

build:
	go build -trimpath -o bin/td ./cmd/td

# The bill of materials of bin/td, beside it.
sbom: build
	./bin/td version --sbom >bin/td.cdx.json

# Builds the present commit twice from nothing and compares; see docs/security/supply-chain.md.
# Takes minutes. Its last line is the result as JSON.
reproducible:
	./scripts/reproducible.sh

demo: build
	./bin/td demo

# Without -shuffle results are cached. The tests of whole servers wait more than they
# compute: more of them run at a time than there are processors.
PARALLEL ?= 6
PACKAGES ?= ./...
test:
	go test -timeout 25m -parallel $(PARALLEL) $(TESTFLAGS) $(PACKAGES)

# The race detector needs cgo, with which keyholders have a lower grade. The
# tests of the whole system take many minutes with it and have their own target.
# Packages without goroutines and locks are left out; floors_test.go checks that
# they have none. So are the failpoints and the counts of work: the packages that they run
# have tests of their own under the detector. Files are in memory where there is room: what a disk does is
# tested without it.
IN_MEMORY = $(shell grep -qs ' /dev/shm .*noexec' /proc/mounts || df -Pk /dev/shm 2>/dev/null | \
	awk -v tmp="$${TMPDIR:-/tmp}" 'NR == 2 && $$4 > 2000000 { print "GOTMPDIR=" tmp " TMPDIR=/dev/shm" }')
SEQUENTIAL := . api deploy internal/accesslog internal/anomaly/inject internal/anomaly/nab internal/anomaly/seriesfile internal/config internal/draft internal/fault internal/fsutil internal/lifecycle internal/memberlist internal/mutants internal/principal internal/remote internal/rules internal/sbom model proof proof/circuit proof/field proof/ligero proof/merkle proof/poseidon proof/transcript
# The database's engine, which is C in Go's clothes, and the arithmetic of the proofs are
# compiled without the detector: under it, they would compute most of the time. Only packages are named that
# instantiate no generic code of others: of such code the linker keeps one copy, and an
# atomic pointer that the detector does not see looks like races elsewhere.
BLS := github.com/consensys/gnark-crypto/ecc/bls12-381
OBSERVED := $(patsubst %,-gcflags=%=-race=false,modernc.org/sqlite/lib $(BLS) $(BLS)/fp $(BLS)/fr github.com/consensys/gnark/backend/plonk/bls12-381)
# Long calculations in one goroutine are left to "make test".
CALCULATIONS := TestSetMemory TestOneSource TestImpossibleRecall TestSetQuiet TestSetState TestSetExplained TestProverChange TestDistributed TestProverOfTwo TestSetConfirms TestLimiterGate TestQuietPayer TestAttacksAlert TestRecordedQuiet TestPolicy TestWrongCounts TestOneCheckpoint TestEveryBit TestKnownKeys TestFalseWitness
EMPTY :=
race:
	$(IN_MEMORY) CGO_ENABLED=1 GOEXPERIMENT= go test -timeout 25m -race -short $(OBSERVED) $(TESTFLAGS) \
		-skip '^($(subst $(EMPTY) ,|,$(CALCULATIONS)))$$' \
		$$(go list ./... | grep -vxF "$$(go list $(addprefix ./,cmd/td internal/efficiency internal/failpoints $(SEQUENTIAL)))")

race-system:
	CGO_ENABLED=1 GOEXPERIMENT= go test -timeout 60m -race -short $(OBSERVED) ./cmd/td

tools: $(TOOLS)/deadcode $(TOOLS)/gofumpt $(TOOLS)/govulncheck $(TOOLS)/golangci-lint

$(TOOLS)/deadcode $(TOOLS)/gofumpt $(TOOLS)/govulncheck: tools/go.mod
	GOEXPERIMENT= GOFLAGS= go -C tools build -o ../$(TOOLS)/ golang.org/x/tools/cmd/deadcode mvdan.cc/gofumpt golang.org/x/vuln/cmd/govulncheck

$(TOOLS)/golangci-lint: tools/lint/go.mod
	GOEXPERIMENT= GOFLAGS= go -C tools/lint build -o ../../$(TOOLS)/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# golangci-lint runs the analyzers of vet and staticcheck, and more of them than the
# commands do by default, but for asmdecl, which needs the files in assembly. For arm64
# deadcode.sh type-checks every package; those with files for one architecture are
# built and vetted. To vet all would compile all.
FOR_ONE_ARCH = { git ls-files '*_amd64*' '*_arm64*' '*.s'; git grep -lE '^//go:build .*(amd64|arm64)' -- '*.go'; } | xargs -n 1 dirname | sort -u | sed 's|^|./|'
# A third of what they compute is collecting garbage; with less of it they take up to
# the limit of memory.
lint vuln: export GOGC := 400
lint vuln: export GOMEMLIMIT := 4GiB
lint: tools
	@out=$$($(TOOLS)/gofumpt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not formatted by gofumpt:"; echo "$$out"; exit 1; }
	go mod tidy -diff
	go vet -asmdecl $$($(FOR_ONE_ARCH))
	for verb in build vet; do GOOS=linux GOARCH=arm64 GOEXPERIMENT= go $$verb $$($(FOR_ONE_ARCH)) || exit 1; done
	$(TOOLS)/golangci-lint run ./...
	./scripts/deadcode.sh
	go test -count=1 -v -run TestWords .

# The manual pages, one for each command, in bin/man: man ./bin/man/td-submit.1
man:
	go test -count=1 -run TestManPages ./cmd/td -man $(CURDIR)/bin/man

# Every fuzz target of every package for a short time; the seeds run as tests.
fuzz:
	./scripts/fuzz.sh $(FUZZBUDGET)

# The second command measures the processor time of the log for each leaf.
bench: build
	./bin/td bench
	go test -run '^$$' -bench BenchmarkLeaf -benchtime 2000x ./internal/ledger

# Compares internal/limit with other limiters, and with another resolver of addresses,
# which are in a module of their own.
limit-compare:
	GOEXPERIMENT= go -C internal/limit/compare test -count=1 -v .

# Every benchmark runs, once, so that none breaks unnoticed.
bench-once:
	go test -vet=off -run '^$$' -bench . -benchtime 1x $$(grep -rl --include='*_test.go' '^func Benchmark' . | xargs -n 1 dirname | sort -u)

# Generated files are committed; generating them again must change nothing.
docs:
	go generate ./...
	git diff --exit-code -- docs claim deploy model

# Names the reviews and accepted risks whose date has passed. It fails only if the calendar
# cannot be read.
reviews:
	go test -count=1 -v -run '^TestReviewsDue$$' . -today "$$(date -u +%F)"

# Lints docs/openapi.json by the recommended rules of two public linters. Needs npm, and
# reports that it was skipped where that is missing.
openapi:
	./scripts/openapi.sh

# The database is a local file, so no network is needed. Without the file the
# scan is skipped with a notice.
vuln: tools
	./scripts/vuln.sh $(DATA)/govulndb/osv.tar.gz

e2e: build
	go test -count=1 -run 'TestScripts|TestDocs' ./cmd/td

# Needs root and a loop device; reports elsewhere that it was skipped.
powercut:
	TD_POWERCUT=1 go test -count=1 -run PowerCut ./internal/journal

# Part of make check, with fewer freezes. Needs Linux and root, and reports what
# it could not scan. Its last line is the result as JSON.
memscan:
	TD_MEMSCAN_FREEZES=$(FREEZES) ./scripts/memscan.sh

# Attacks the promises of docs/security/trust.md with real servers and the real
# commands. SHORT=1 abandons fewer requests. Its last line is the result as JSON.
# As root it makes one more attack.
attacks-trust:
	./scripts/attacks.sh

# Overload, floods and comparisons of times against real servers, with bounded load, and
# the gate of the limiter; see internal/attack. About eight minutes; SHORT=1 takes less than
# half a minute. Needs Linux, and root for the floods from other addresses. Its last line
# is the result as JSON.
attack:
	./scripts/attack.sh

# Detectors of unusual traffic over simulated years and attacks, in virtual time: some
# minutes, and docs/anomaly-results.md is written. SHORT=1 takes some seconds and writes
# nothing. Its last line is the result as JSON.
anomaly-sim:
	./scripts/anomaly-sim.sh

# Kills, power cuts, device errors and file faults under load: nothing that was
# acknowledged may be lost. Up to 10 minutes; SHORT=1 injects few of each, SEED=N
# repeats a run. Power cuts need root and FUSE. Its last line is the result as JSON.
faults:
	./scripts/faults.sh

# Plays game days with real servers, see docs/operate.md. Up to 10 minutes; SHORT=1 leaves
# some out and takes some 30 s, SEED=N repeats a run. Its last line is the result as JSON.
gamedays:
	./scripts/gamedays.sh

# Evaluates the series detector on an open benchmark, whose data is in $(DATA)/nab; reports
# that it was skipped where that is missing. UPDATE=1 freezes new figures. Its last line is
# the result as JSON.
nab:
	UPDATE=$(UPDATE) ./scripts/nab.sh $(DATA)/nab

# A fault at every step of accept, rotation, freeze and backup. make test tries every
# eighth cell.
matrix:
	TD_MATRIX=1 go test -count=1 ./internal/failpoints
	TD_MATRIX=1 go test -count=1 -run Matrix ./internal/journal ./internal/datadir

# The unit file under a systemd of its own, and the image's root without a container
# engine. Both need root, and report elsewhere that they were skipped. SHORT=1 leaves the
# watchdog out.
unit: build
	SHORT=$(SHORT) ./scripts/unit.sh

container: build
	./scripts/container.sh

# Checks the formal model with spin, see docs/security/model.md. Less than a minute; SHORT=1
# takes less than 20 s, FULL=1 a quarter of an hour or more. Needs spin and gcc, and reports
# elsewhere that nothing was checked. Its last line is the result as JSON.
model:
	./scripts/model.sh

# Removes every guard of lifecycle, gate, journal and receipt, one at a time, and puts each
# of the faults listed in proof/mutants_test.go into the code of the proofs. A test has to
# fail each time; see internal/mutants. Takes long; ONLY=internal/lifecycle,receipt names
# parts, proof is one. Its last line is the result as JSON.
mutants:
	@./scripts/mutants.sh

# Random proofs and mutants of every claim of suite 2, with sizes and processor time
# beside those of PLONK. About half an hour; SHORT=1 takes less than 20 s. Its last line
# is the result as JSON.
suite2:
	./scripts/suite2.sh

# Runs the known answers on arm64, emulated by qemu-aarch64, and reports elsewhere that they
# were not run. Takes minutes. Its last line is the result as JSON.
arm64:
	./scripts/arm64.sh

check:
	./scripts/check.sh

clean:
	rm -rf bin $(TOOLS)
