package main_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

// adminFake answers each action with what a test has put there.
type adminFake struct {
	socket  string
	mu      sync.Mutex
	answers map[string]string // by action
	asked   []string          // action, query and body
}

// newAdminFake listens on a socket of its own.
func newAdminFake(t *testing.T) *adminFake {
	t.Helper()
	f := &adminFake{socket: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: f}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return f
}

func (f *adminFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	action := strings.TrimPrefix(r.URL.Path, admin.Prefix)
	body, _ := io.ReadAll(r.Body)
	f.asked = append(f.asked, action+"?"+r.URL.RawQuery+" "+string(body))
	answer, media := f.answers[action], api.MediaJSON
	if strings.Contains(answer, `"urn:`) {
		media = api.MediaProblem
	}
	w.Header().Set("Content-Type", media)
	_, _ = io.WriteString(w, answer)
}

// run runs td admin on the fake with these answers, and returns what was asked.
func (f *adminFake) run(answers map[string]string, args ...string) (code int, stdout, stderr, asked string) {
	f.mu.Lock()
	f.answers, f.asked = answers, nil
	f.mu.Unlock()
	code, stdout, stderr = runTD(append(append([]string{"admin"}, args...), "--socket", f.socket)...)
	f.mu.Lock()
	defer f.mu.Unlock()
	return code, stdout, stderr, strings.Join(f.asked, "\n")
}

func refused(code protocol.Code, detail string) string {
	b, _ := json.Marshal(api.Problem{Type: api.ProblemType + code.String(), Title: "refused", Status: 403, Code: code, Detail: detail})
	return string(b)
}

const (
	fakeEpoch = "00112233445566778899aabbccddeeff"
	fakePrint = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
)

// TestAdminCommands: each command asks what its flags say, and prints the answer.
func TestAdminCommands(t *testing.T) {
	configHome(t)
	f := newAdminFake(t)
	frozen := `{"outcome":"done","row":7,"leaves":[{"action":"freeze-accept","index":41},{"action":"freeze-issue","index":42}],"until":"2026-11-29T05:00:00Z"}`
	frozenTable := "outcome    done\nleaf       41, freeze-accept\nleaf       42, freeze-issue\naudit row  7\nuntil      2026-11-29T05:00:00Z\n"
	done := `{"outcome":"done","row":8,"leaves":[]}`
	doneTable := "outcome    done\naudit row  8\n"
	claims := `{"claims":[{"id":"range/1","fingerprint":"` + fakePrint + `","index":3,"retired":false,"holds":["accept"]}]}`
	tests := map[string]struct {
		args    string
		answers map[string]string
		code    int
		asked   string // the last line of it
		stdout  string
		stderr  string // part of it
	}{
		"freeze": {
			"freeze|--for|2h|WHY",
			map[string]string{"freeze": frozen},
			0,
			`freeze? {"reason":"because","operation":"both","for_ms":7200000}`, frozenTable, "",
		},
		"freeze in JSON":  {"freeze|-o|json|WHY", map[string]string{"freeze": frozen}, 0, `freeze? {"reason":"because","operation":"both"}`, frozen + "\n", ""},
		"freeze of claim": {"freeze|--accept|--claim|range/1|WHY", map[string]string{"freeze": done}, 0, `freeze? {"reason":"because","operation":"accept","claim":"range/1"}`, doneTable, ""},
		"freeze of print": {"freeze|WHY|--issue|--fingerprint|" + fakePrint, map[string]string{"freeze": done}, 0, `freeze? {"reason":"because","operation":"issue","fingerprint":"` + fakePrint + `"}`, doneTable, ""},
		"held in memory": {
			"freeze|WHY",
			map[string]string{"freeze": `{"outcome":"held in memory, not durable","leaves":[]}`},
			0,
			`freeze? {"reason":"because","operation":"both"}`, "outcome  held in memory, not durable\n", "warning: it is in force, but only in memory",
		},
		"thaw": {"thaw|--yes|WHY", map[string]string{"thaw": done}, 0, `thaw? {"reason":"because","operation":"both"}`, doneTable, ""},
		"second commander": {
			"thaw|--yes|WHY",
			map[string]string{"thaw": `{"outcome":"waits for a second commander","row":9,"leaves":[]}`},
			6,
			`thaw? {"reason":"because","operation":"both"}`, "outcome    waits for a second commander\naudit row  9\n", "nothing has changed yet",
		},
		"not confirmed": {"thaw|WHY", nil, 2, "", "", "needs --yes where there is no terminal"},
		"not permitted": {
			"thaw|--yes|WHY",
			map[string]string{"thaw": refused(protocol.CodeForbidden, "thaw needs a commander, and you are an operator")},
			5,
			`thaw? {"reason":"because","operation":"both"}`, "", "error: thaw needs a commander, and you are an operator\nhint: the settings admin_viewers, admin_operators and admin_commanders",
		},
		"seal":       {"seal|--yes|WHY", map[string]string{"seal": done}, 0, `seal? {"reason":"because"}`, doneTable, ""},
		"rotate":     {"rotate|WHY", map[string]string{"rotate": done}, 0, `rotate? {"reason":"because","how":"drain"}`, doneTable, ""},
		"rotate now": {"rotate|--now|WHY", nil, 2, "", "", "every pending request is invalidated"},
		"rotated now": {
			"rotate|--now|--yes|WHY",
			map[string]string{"rotate": `{"outcome":"done","row":8,"leaves":[],"ended":1,"epoch":{"number":5,"id":"` + fakeEpoch + `"}}`},
			0,
			`rotate? {"reason":"because","how":"now"}`, doneTable + "epoch      5, " + fakeEpoch + "\nended      1 pending request\n", "",
		},
		"sessions": {
			"sessions|--client|north|--older|1d|--prover|server",
			map[string]string{"sessions": `{"pending":3,"sessions":[{"id":"` + fakeEpoch + `","client":"north","claim":"open/1","epoch":"` + fakeEpoch + `","prover":"server","opened":"2026-11-29T05:00:00Z","expires":"2026-11-29T05:02:00Z"}],"more":false}`},
			0,
			"sessions?client=north&max=100&older_ms=86400000&prover=server ",
			"ID                                CLIENT  CLAIM   PROVER  OPENED                EXPIRES               EPOCH\n" + fakeEpoch + "  north   open/1  server  2026-11-29T05:00:00Z  2026-11-29T05:02:00Z  " + fakeEpoch + "\n", "1 of 3 pending requests",
		},
		"no filter":       {"sessions|invalidate|WHY", nil, 2, "", "", "or --all"},
		"filter and all":  {"sessions|invalidate|--all|--client|north|WHY", nil, 2, "", "", "leave one of them out"},
		"all unconfirmed": {"sessions|invalidate|--all|WHY", nil, 2, "", "", "every pending request ends"},
		"all":             {"sessions|invalidate|--all|--yes|WHY", map[string]string{"invalidate": done}, 0, `invalidate? {"reason":"because","all":true}`, doneTable, ""},
		"of an epoch":     {"sessions|invalidate|WHY|--epoch|" + fakeEpoch, map[string]string{"invalidate": done}, 0, `invalidate? {"reason":"because","epoch":"` + fakeEpoch + `"}`, doneTable, ""},
		"revoke":          {"epochs|revoke|WHY|" + fakeEpoch + "|--yes", map[string]string{"revoke": done}, 0, `revoke? {"reason":"because","epoch":"` + fakeEpoch + `"}`, doneTable, ""},
		"revoke nonsense": {"epochs|revoke|x|--yes|WHY", nil, 2, "", "", `"x" is not the id of an epoch`},
		"claims":          {"claims|list", map[string]string{"claims": claims}, 0, "claims? ", "CLAIM    FINGERPRINT                                  INDEX  STATE\nrange/1  " + fakePrint + "  3      frozen: accept\n", ""},
		"retire by id":    {"claims|retire|range/1|--yes|WHY", map[string]string{"claims": claims, "retire": done}, 0, `retire? {"reason":"because","fingerprint":"` + fakePrint + `"}`, doneTable, ""},
		"retire unknown":  {"claims|retire|sum/1|--yes|WHY", map[string]string{"claims": claims}, 4, "claims? ", "", "no claim in force is sum/1"},
		"clients": {
			"clients",
			map[string]string{"clients": `{"clients":[{"id":"north","created":"2026-11-29T05:00:00Z","keys":[{"id":"0011223344","scopes":"proof","created":"2026-11-29T05:00:00Z","revoked":"2026-11-29T06:00:00Z"}]}]}`},
			0, "clients? ",
			"CLIENT  KEY         SCOPES  CREATED               EXPIRES  STATE\nnorth   0011223344  proof   2026-11-29T05:00:00Z  -        revoked 2026-11-29T06:00:00Z\n", "",
		},
		"no place":  {"clients|add|north|--scope|proof|WHY", nil, 2, "", "", "--token-file FILE, or --show"},
		"show":      {"clients|add|north|--scope|proof|--scope|event:range/1|--expires|90d|--show|WHY", map[string]string{"clients/add": `{"outcome":"done","row":8,"leaves":[],"id":"0011223344","token":"north tdk_x\n"}`}, 0, `clients/add? {"reason":"because","client":"north","scopes":"proof event:range/1","expires_ms":7776000000}`, doneTable + "key        0011223344\ntoken      north tdk_x\n", ""},
		"show JSON": {"clients|add|north|--scope|proof|--show|-o|json|WHY", map[string]string{"clients/add": `{"outcome":"done","row":8,"leaves":[],"id":"0011223344","token":"north tdk_x\n"}`}, 0, `clients/add? {"reason":"because","client":"north","scopes":"proof"}`, `{"outcome":"done","row":8,"leaves":[],"id":"0011223344","token":"north tdk_x"}` + "\n", ""},
		"key": {
			"clients|key|north|--overlap|1h|--show|WHY", map[string]string{
				"clients":     `{"clients":[{"id":"north","keys":[{"id":"a","scopes":"proof","created":"2026-11-29T05:00:00Z"},{"id":"b","scopes":"event","created":"2026-11-29T06:00:00Z"},{"id":"c","scopes":"verify","created":"2026-11-29T07:00:00Z","revoked":"2026-11-29T07:00:00Z"}]}]}`,
				"clients/key": `{"outcome":"done","row":8,"leaves":[],"id":"d","token":"north tdk_x\n"}`,
			}, 0, `clients/key? {"reason":"because","client":"north","scopes":"event","overlap_ms":3600000}`, doneTable + "key        d\ntoken      north tdk_x\n", "",
		},
		"revoke-key": {"clients|revoke-key|0011223344|WHY", map[string]string{"clients/revoke-key": done}, 0, `clients/revoke-key? {"reason":"because","key":"0011223344"}`, doneTable, ""},
		"disable":    {"clients|disable|north|WHY", nil, 2, "", "", "its name is not given again"},
		"incident": {
			"incident|open|--kind|key-compromise|WHY",
			map[string]string{"incident/open": `{"outcome":"done","row":8,"leaves":[],"incident":50,"kind":"key-compromise","steps":[{"step":"freeze","leaves":[{"action":"freeze-accept","index":48}]},{"step":"revoke","code":"conflict","detail":"revoked before"}],"left":[{"id":"cause","text":"find the cause"}],"bundle":"/srv/td/incident-50"}`},
			1,
			`incident/open? {"reason":"because","kind":"key-compromise"}`,
			doneTable + "incident   50, key-compromise\nstep       freeze: done\n           leaf 48, freeze-accept\nstep       revoke: FAILED: conflict\n           revoked before\nevidence   /srv/td/incident-50\nleft       cause: find the cause\nthen       td admin incident close 50 --confirmed cause --reason …\n", "error: failed: revoke\nhint: docs/runbooks/key-compromise.md",
		},
		"incident close":     {"incident|close|50|--confirmed|cause|--confirmed|receipts|WHY", map[string]string{"incident/close": done}, 0, `incident/close? {"reason":"because","incident":50,"confirmed":["cause","receipts"]}`, doneTable, ""},
		"close the open one": {"incident|close|WHY", map[string]string{"incidents": `{"incidents":[{"index":60,"kind":"operator-error"},{"index":50,"kind":"operator-error","closed":55}]}`, "incident/close": done}, 0, `incident/close? {"reason":"because","incident":60,"confirmed":[]}`, doneTable, ""},
		"close no open one":  {"incident|close|WHY", map[string]string{"incidents": `{"incidents":[]}`}, 2, "incidents? ", "", "0 incidents are open"},
		"reload":             {"reload|WHY", map[string]string{"reload": done}, 0, `reload? {"reason":"because"}`, doneTable, ""},
		"backup":             {"backup|b|WHY", map[string]string{"backup": `{"outcome":"done","row":8,"leaves":[],"directory":"/b","size":9,"root":"` + fakePrint + `"}`}, 0, `backup? {"reason":"because","name":"b"}`, doneTable + "directory  /b\nsize       9\nroot       " + fakePrint + "\n", ""},
		"audit": {
			"audit|list|--after|3|--limit|2",
			map[string]string{"audit": `{"rows":[{"id":4,"time":"2026-11-29T05:00:00Z","actor":"uid 7","role":"operator","action":"freeze","reason":"because","outcome":"done","index":41},{"id":5,"time":"2026-11-29T05:00:00Z","actor":"uid 7","role":"operator","action":"thaw","outcome":"refused","code":"forbidden"},{"id":6,"time":"2026-11-29T05:00:00Z"}],"more":false}`},
			0, "audit?after=3&max=1000 ",
			"ROW  TIME                  ACTOR  ROLE      ACTION  TARGET  OUTCOME              LEAF  REASON\n4    2026-11-29T05:00:00Z  uid 7  operator  freeze  -       done                 41    because\n5    2026-11-29T05:00:00Z  uid 7  operator  thaw    -       refused (forbidden)  -     -\n", "",
		},
		"audit of nothing": {"audit|list", map[string]string{"audit": `{"rows":[],"more":false}`}, 0, "audit?after=0&max=1000 ", "", "there are none"},
		"audit verify":     {"audit|verify", map[string]string{"audit/verify": `{"rows":9,"leaves":4,"problems":[]}`}, 0, `audit/verify? {"reason":"td admin audit verify"}`, "rows      9\nleaves    4\nproblems  0\n", ""},
		"audit problem":    {"audit|verify", map[string]string{"audit/verify": `{"rows":9,"leaves":4,"problems":["leaf 3 has no row"]}`}, 3, `audit/verify? {"reason":"td admin audit verify"}`, "PROBLEM  leaf 3 has no row\nrows      9\nleaves    4\nproblems  1\n", "audit and log disagree: 1 problem"},
		"another service":  {"epochs", map[string]string{"epochs": "hello"}, 7, "epochs? ", "", "no server of this version"},
	}
	for name, tt := range tests {
		args := strings.Split(strings.Replace(tt.args, "WHY", "--reason|because", 1), "|")
		code, stdout, stderr, asked := f.run(tt.answers, args...)
		last := asked[strings.LastIndex(asked, "\n")+1:]
		if code != tt.code || stdout != tt.stdout || last != tt.asked || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit %d, want %d\nasked %s\nwant  %s\n%s\nwant\n%s\n%s", name, code, tt.code, last, tt.asked, stdout, tt.stdout, stderr)
		}
	}
}

// TestAdminTokenFile: a new key is in a file for its owner only, and nowhere else. No key
// is made for a file that is there already, or that cannot be written.
func TestAdminTokenFile(t *testing.T) {
	configHome(t)
	f := newAdminFake(t)
	file := filepath.Join(t.TempDir(), "north")
	answers := map[string]string{"clients/add": `{"outcome":"done","row":8,"leaves":[],"id":"0011223344","token":"north tdk_x\n"}`}
	add := func(file string) (int, string, string, string) {
		return f.run(answers, "clients", "add", "north", "--scope", "proof", "--reason", "because", "--token-file", file, "-o", "json")
	}
	code, stdout, stderr, _ := add(file)
	content, err := os.ReadFile(file)
	info, _ := os.Stat(file)
	if code != 0 || err != nil || string(content) != "north tdk_x\n" || info.Mode() != 0o600 || strings.Contains(stdout+stderr, "tdk_") || !strings.Contains(stdout, `"token_file"`) {
		t.Errorf("exit %d, %v, %q: %s%s", code, err, content, stdout, stderr)
	}
	for _, place := range []string{file, filepath.Join(file, "x")} {
		if code, _, stderr, asked := add(place); code != 2 || asked != "" {
			t.Errorf("%s: exit %d, asked %q: %s", place, code, asked, stderr)
		}
	}
}

// TestAdminNoServer: without a server, or with a stale socket, the error says how to go
// on.
func TestAdminNoServer(t *testing.T) {
	data := configHome(t)
	for _, args := range [][]string{{"status"}, {"freeze", "--reason", "because"}} {
		code, _, stderr := runTD(append([]string{"admin"}, args...)...)
		if code != 7 || !strings.Contains(stderr, "no server listens on the admin socket "+data) || !strings.Contains(stderr, "--data or --socket") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	}
	if code, _, stderr := runTD("admin", "freeze"); code != 2 || !strings.Contains(stderr, "needs --reason: the audit records why") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
