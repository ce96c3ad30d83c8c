package config_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/limit"
)

var home = []string{"HOME=/home/maria"}

// with is an environment with more variables.
func with(more ...string) []string { return slices.Concat(home, more) }

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, environ []string, flags map[string]string) *config.Config {
	t.Helper()
	c, err := config.Load(environ, flags)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := load(t, home, nil)
	if c.Listen != "127.0.0.1:8080" || c.MaxSessions != 100_000 || c.TTL() != 2*time.Minute || c.Prover != config.ProverLocal ||
		c.Data != "/home/maria/.local/state/terradourada" || c.AllowInsecureListen {
		t.Errorf("defaults: %+v", c)
	}
	c = load(t, with("XDG_STATE_HOME=/state"), nil)
	if c.Data != "/state/terradourada" || c.Source("data") != "default" {
		t.Errorf("data is %s from %s", c.Data, c.Source("data"))
	}
	for _, key := range config.Keys() {
		if c.Source(key) != "default" {
			t.Errorf("%s comes from %q", key, c.Source(key))
		}
	}
}

// Flag before environment before file before default, for every kind of value.
func TestPrecedence(t *testing.T) {
	path := write(t, `
listen = "127.0.0.1:1111"   # comment
max_sessions = 1_000
"max_lag" = 7
group = [
  "a.json",
  "b,c.json", # a comma is no separator here
]
shutdown_grace = '30s'
allow_insecure_listen = true
log_level = "warn"
origin = "example.org/log"
`)
	environ := with("TD_CONFIG="+path, "TD_MAX_SESSIONS=2000", "TD_LOG_LEVEL=error", "TD_ORIGIN=", "TD_GROUP=")
	c := load(t, environ, map[string]string{"log-level": "debug", "prover": "none"})
	for key, want := range map[string][2]any{
		"listen":         {c.Listen, "127.0.0.1:1111"},
		"max_sessions":   {c.MaxSessions, 2000},
		"max_lag":        {c.MaxLag, uint64(7)},
		"group":          {strings.Join(c.Group, "|"), "a.json|b,c.json"},
		"shutdown_grace": {c.ShutdownGrace, 30 * time.Second},
		"insecure":       {c.AllowInsecureListen, true},
		"log_level":      {c.LogLevel, "debug"},
		"prover":         {c.Prover, "none"},
		"origin":         {c.Origin, "example.org/log"},
		"file":           {c.File(), path},
	} {
		if want[0] != want[1] {
			t.Errorf("%s is %v, want %v", key, want[0], want[1])
		}
	}
	for key, want := range map[string]string{
		"listen": "file " + path + ":2", "max_sessions": "environment TD_MAX_SESSIONS", "log_level": "flag --log-level",
		"group": "file " + path + ":5", "origin": "file " + path + ":12", "verify_workers": "default",
	} {
		if got := c.Source(key); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
	if c := load(t, environ, map[string]string{"group": "x.json,y.json"}); len(c.Group) != 2 {
		t.Errorf("group is %q", c.Group)
	}
}

// The file in the data directory is read when none is named.
func TestFileInData(t *testing.T) {
	path := write(t, "max_lag = 9\n")
	dir := filepath.Dir(path)
	if c := load(t, home, map[string]string{"data": dir}); c.MaxLag != 9 || c.Data != dir {
		t.Errorf("max_lag is %d, data %s", c.MaxLag, c.Data)
	}
	if c := load(t, with("TD_DATA="+dir), nil); c.MaxLag != 9 {
		t.Errorf("max_lag is %d", c.MaxLag)
	}
	if err := os.WriteFile(path, []byte("data = \"/elsewhere\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse(t, home, map[string]string{"data": dir}, path+":1", "cannot name the data directory")
	if c := load(t, home, map[string]string{"config": path}); c.Data != "/elsewhere" {
		t.Errorf("data is %s", c.Data)
	}
}

// goNames is what no message may show.
var goNames = regexp.MustCompile(`config\.|\*|struct|int64|uint|\bnil\b|reflect|strconv|parsing|toml:|goroutine|%!`)

func refusal(t *testing.T, environ []string, flags map[string]string, wants ...string) *fault.Fault {
	t.Helper()
	_, err := config.Load(environ, flags)
	var e *fault.Fault
	if !errors.As(err, &e) {
		t.Errorf("got %v, want a refusal with %q", err, wants)
		return &fault.Fault{}
	}
	all := e.Error() + "\nhint: " + e.Hint
	for _, want := range wants {
		if !strings.Contains(all, want) {
			t.Errorf("refused with\n%s\nwant %q in it", all, want)
		}
	}
	message, _, _ := strings.Cut(e.What, "\n") // an excerpt of the file may follow
	if m := goNames.FindString(strings.ReplaceAll(message, "config.toml", "") + e.Hint); m != "" {
		t.Errorf("%q shows %q", all, m)
	}
	if strings.Count(all, "\n") > 4 {
		t.Errorf("the message has too many lines:\n%s", all)
	}
	return e
}

func refuse(t *testing.T, environ []string, flags map[string]string, wants ...string) {
	t.Helper()
	_ = refusal(t, environ, flags, wants...)
}

func TestFileFaults(t *testing.T) {
	for name, c := range map[string]struct {
		text, where, message, hint string
	}{
		"unknown":        {"listen = \"127.0.0.1:1\"\nmax_sesions = 3\n", ":2:1", `unknown key "max_sesions"`, `did you mean "max_sessions"?`},
		"swapped":        {"lisetn = 'x'", ":1:1", `unknown key "lisetn"`, `did you mean "listen"?`},
		"far":            {"colour = 'red'", ":1:1", `unknown key "colour"`, "td config explain"},
		"capitals":       {"Listen = 'x'", ":1:1", `unknown key "Listen"`, `did you mean "listen"?`},
		"text as number": {"max_sessions = \"ten\"", ":1:1", "max_sessions is a whole number, not a text in quotes", ""},
		"quoted number":  {"max_sessions = \"10\"", ":1:1", "max_sessions is a whole number, not a text in quotes", ""},
		"fraction":       {"max_sessions = 1.5", ":1:1", "max_sessions is a whole number, not a number", ""},
		"number as text": {"listen = 8080", ":1:1", "listen is a text, not a number", ""},
		"word":           {"prover = \"locl\"", ":1:1", "prover is one of local, none, not", `did you mean "local"?`},
		"range":          {"ttl_ms = 5", ":1:1", "ttl_ms must lie between 1000 and 600000", ""},
		"below zero":     {"max_lag = -1", ":1:1", "max_lag is a whole number", ""},
		"huge":           {"max_lag = 99999999999999999999", ":1:1", "", ""},
		"duration":       {"body_timeout = '10'", ":1:1", "body_timeout is a duration", ""},
		"duration range": {"body_timeout = '1h'", ":1:1", "between 100ms and 10m", ""},
		"bool":           {"allow_insecure_listen = \"yes\"", ":1:1", "true or false", ""},
		"list":           {"group = \"a.json\"", ":1:1", "a list of texts", ""},
		"mixed list":     {"group = [\"a.json\", 2]", ":1:1", "a list of texts", ""},
		"table":          {"max_lag = 3\n[server]\nlisten = 'x'", ":2:2", "no sections", "key = value"},
		"dotted":         {"server.listen = 'x'", ":1:1", "no sections", ""},
		"twice":          {"max_lag = 3\nmax_lag = 4", ":2:1", "max_lag is given twice", ""},
		"no value":       {"max_lag =\n", ":1", "not TOML", ""},
		"open quote":     {"\n\nlisten = \"abc\n", ":3", "not TOML", ""},
		"not utf-8":      {"listen = \"\xff\"", ":1", "", ""},
		"date":           {"listen = 2026-01-01", ":1:1", "a date or time", ""},
		"pem":            {"tls_cert = 'x'\ntls_key = '''-----BEGIN PRIVATE KEY-----\nMIIE'''", ":2", "holds a key", "name the file"},
		"only one":       {"tls_cert = 'x'", ":1", "belong together", ""},
		"address":        {"listen = '127.0.0.1'", ":1", "not host:port", ""},
		"public address": {"listen = '0.0.0.0:8080'\n", ":1", "reached by others", "allow_insecure_listen"},
		"grade D":        {"max_lag = 5\nmin_grade = 'D'\n", ":2", "grade D protects no key", "allow_development_grade"},
		"no grade":       {"min_grade = 'b'\n", ":1", "one of A, B, C, D", ""},
		"user id":        {"child_uid = -1\n", ":1", "between 0 and", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.text)
			refuse(t, home, map[string]string{"config": path}, path+c.where, c.message, c.hint)
		})
	}
}

// The caret stands below the key.
func TestExcerpt(t *testing.T) {
	path := write(t, "\tmax_lag = 1\r\n \t max_sesions = 3\r\n")
	e := refusal(t, home, map[string]string{"config": path}, path+":2:4")
	if want := "     \t max_sesions = 3\n     \t ^^^^^^^^^^^"; !strings.HasSuffix(e.What, "\n"+want) {
		t.Errorf("got\n%s\nwant\n%s", e.What, want)
	}
}

func TestOtherFaults(t *testing.T) {
	refuse(t, home, map[string]string{"config": "/does/not/exist"}, "/does/not/exist", "cannot be read: no such file")
	refuse(t, home, map[string]string{"config": t.TempDir()}, "cannot be read")
	refuse(t, with("TD_CONFIG=/does/not/exist"), nil, "/does/not/exist")
	refuse(t, with("TD_MAX_LAG=many"), nil, "environment TD_MAX_LAG", `max_lag is a whole number, not "many"`)
	refuse(t, home, map[string]string{"log-format": "jsn"}, "flag --log-format", "one of text, json", `did you mean "json"?`)
	refuse(t, home, map[string]string{"listen": "example.org:80"}, "flag --listen", "reached by others", "or set --allow-insecure-listen")
	refuse(t, with("TD_LISTEN=0.0.0.0:80"), nil, "environment TD_LISTEN", "or set allow_insecure_listen")
	refuse(t, home, map[string]string{"listen": ":8080"}, "flag --listen", "reached by others")
	refuse(t, nil, nil, "no data directory", "--data")
	for _, listen := range []string{"[::1]:8080", "localhost:0", "127.1.2.3:80"} {
		load(t, home, map[string]string{"listen": listen})
	}
	load(t, home, map[string]string{"listen": "0.0.0.0:80", "allow-insecure-listen": "true"})
	load(t, home, map[string]string{"listen": "0.0.0.0:80", "tls-cert": "cert.pem", "tls-key": "key.pem"})
	refuse(t, home, map[string]string{"ops": "9090"}, "flag --ops", "neither host:port nor off")
	refuse(t, home, map[string]string{"ops": "0.0.0.0:9090", "tls-cert": "cert.pem", "tls-key": "key.pem"}, "flag --ops", "reached by others", "or set --allow-insecure-listen")
	load(t, home, map[string]string{"ops": "localhost:9090"})
	load(t, home, map[string]string{"ops": ":9090", "allow-insecure-listen": "true"})
	refuse(t, home, map[string]string{"limit-read": "5"}, "flag --limit-read", `limit_read is a limit such as "5/s burst 20"`)
	refuse(t, with("TD_LIMIT_CLIENT_DAY=much"), nil, "environment TD_LIMIT_CLIENT_DAY", "or off")
	refuse(t, home, map[string]string{"limit-total": "issue 5/s,prove 1/s"}, "flag --limit-total", "issue 100/s burst 200")
	refuse(t, home, map[string]string{"limit-total": "issue"}, "flag --limit-total")
	refuse(t, home, map[string]string{"limit-costs": "1,2"}, "flag --limit-costs", "4 whole numbers")
	refuse(t, home, map[string]string{"limit-networks": "8,x,9"}, "flag --limit-networks", "3 whole numbers")
	refuse(t, home, map[string]string{"limit-networks": "9,8,7"}, "rising order")
	refuse(t, home, map[string]string{"limit-costs": "0,2,6,6"}, "class read costs 1 to 1000")
	refuse(t, home, map[string]string{"client-address": "forwarded"}, "flag --client-address", "with --trusted-proxies")
	refuse(t, home, map[string]string{"client-address": "x-real-ip"}, "flag --client-address", "one of peer, x-forwarded-for")
	refuse(t, home, map[string]string{"trusted-proxies": "10.0.0.0/33"}, "flag --trusted-proxies", "neither an address nor a network")
	refuse(t, home, map[string]string{"response-block": "2h", "response-longest": "1h"}, "a block lasts")
	refuse(t, with("TD_MIN_GRADE=D"), nil, "environment TD_MIN_GRADE", "grade D protects no key", "allow_development_grade")
	load(t, with("TD_MIN_GRADE=D"), map[string]string{"allow-development-grade": "true"})
}

// TestApply: what differs is listed, and what a running server applies is taken over.
func TestApply(t *testing.T) {
	c := load(t, home, nil)
	now := load(t, home, map[string]string{"log-level": "debug", "limit-read": "9/s", "limit-networks": "2,4,8", "allow-host": "td.example", "max-lag": "5"})
	hot, cold := c.Apply(now)
	if diff := cmp.Diff([][]string{{"limit_read", "limit_networks", "log_level"}, {"allow_host", "max_lag"}}, [][]string{hot, cold}); diff != "" {
		t.Error(diff)
	}
	if s := c.Limits(); c.LogLevel != "debug" || c.MaxLag == 5 || s.Address[limit.Read].N != 9 || s.Factors != [3]int{2, 4, 8} || c.Source("limit_read") != "flag --limit-read" {
		t.Errorf("taken over: log_level %s, max_lag %d, limits %+v", c.LogLevel, c.MaxLag, s)
	}
	if hot, cold = c.Apply(c); hot != nil || cold != nil {
		t.Errorf("without a change: %q, %q", hot, cold)
	}
}

// TestLimits: the defaults of the settings are those of the package, and each setting
// reaches its limit.
func TestLimits(t *testing.T) {
	if diff := cmp.Diff(limit.Defaults(), load(t, home, nil).Limits(), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	c := load(t, home, map[string]string{
		"limit-read": "1/s", "limit-issue": "2/s", "limit-submit": "3/s", "limit-verify": "4/s", "limit-failures": "5/s", "limit-client": "6/s",
		"limit-client-day": "7/h", "limit-claim": "8/s", "limit-all": "9/s", "limit-total": "issue 10/s burst 2,verify 11/m", "limit-costs": "1,3,4,5",
		"limit-networks": "2,3,4", "limit-places": "2048", "response": "on", "response-block": "1m", "response-longest": "2h", "response-most": "7", "response-share": "50",
		"trusted-proxies": "10.0.0.0/8,::1",
	})
	per := func(n int, d time.Duration) limit.Quota { return limit.Quota{N: n, Per: d, Burst: n} }
	want := limit.Settings{
		Buckets: 2048,
		Costs:   [5]int{0, 1, 3, 4, 5},
		Address: [5]limit.Quota{{}, per(1, time.Second), per(2, time.Second), per(3, time.Second), per(4, time.Second)},
		Factors: [3]int{2, 3, 4},
		Client:  per(6, time.Second), ClientDay: per(7, time.Hour), Claim: per(8, time.Second), Global: per(9, time.Second),
		Total:    [5]limit.Quota{limit.Issue: {N: 10, Per: time.Second, Burst: 2}, limit.Verify: per(11, time.Minute)},
		Failures: per(5, time.Second),
		Response: limit.Response{First: time.Minute, Longest: 2 * time.Hour, Most: 7, Share: 0.5, Exempt: c.Proxies()},
	}
	if diff := cmp.Diff(want, c.Limits(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if got := load(t, home, map[string]string{"response": "off"}).Limits().Response.Most; got != 0 {
		t.Errorf("%d penalties where there is no response", got)
	}
}

// TestResolver: client_address selects the one header that is read.
func TestResolver(t *testing.T) {
	peer := netip.MustParseAddr("127.0.0.1")
	header := http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.2"}}
	for value, want := range map[string]string{"peer": "127.0.0.1", "x-forwarded-for": "192.0.2.1", "forwarded": "192.0.2.2", "proxy-protocol": "127.0.0.1"} {
		r := load(t, home, map[string]string{"client-address": value, "trusted-proxies": "127.0.0.1"}).Resolver()
		if got := r.Resolve(peer, header.Values); got.Addr.String() != want || got.Local {
			t.Errorf("%s: %v, want %s", value, got, want)
		}
		if got := r.Resolve(peer, http.Header{}.Values); got.Local != (value != "proxy-protocol") {
			t.Errorf("%s: a direct peer on loopback is local: %v", value, got.Local)
		}
	}
	if load(t, home, map[string]string{"limit-loopback": "true"}).Resolver().Resolve(peer, http.Header{}.Values).Local {
		t.Error("a peer is local in spite of limit_loopback")
	}
}

// Variables that look like misspelt settings are pointed out, others are left
// alone.
func TestNotes(t *testing.T) {
	c := load(t, with("TD_LISTN=x", "TD_SERVER=x", "TD_CONFIG=", "LISTEN=x", "TD_MAX_LAG=3"), nil)
	if diff := cmp.Diff([]string{"environment variable TD_LISTN is no setting; did you mean TD_LISTEN?"}, c.Notes()); diff != "" {
		t.Error(diff)
	}
}

// What Print writes reads back as the same settings.
func TestPrint(t *testing.T) {
	flags := map[string]string{"origin": "a\"b\\c\té\x01", "group": "a.json,b c.json", "data": "/data", "body-timeout": "1m30s", "ttl-ms": "1000"}
	c := load(t, home, flags)
	var out, origin bytes.Buffer
	if err := errors.Join(c.Print(&out, false), c.Print(&origin, true)); err != nil {
		t.Fatal(err)
	}
	again := load(t, home, map[string]string{"config": write(t, out.String())})
	var second bytes.Buffer
	if err := again.Print(&second, false); err != nil || second.String() != out.String() {
		t.Errorf("printed (%v)\n%s\nand then\n%s", err, out.String(), second.String())
	}
	if again.Origin != c.Origin || again.BodyTimeout != 90*time.Second {
		t.Errorf("origin is %q, body timeout %v", again.Origin, again.BodyTimeout)
	}
	for _, want := range []string{"ttl_ms = 1000  # flag --ttl-ms\n", "max_lag = 4096  # default\n", `group = ["a.json", "b c.json"]  # flag --group`} {
		if !strings.Contains(origin.String(), want) {
			t.Errorf("want %q in\n%s", want, origin.String())
		}
	}
}

// Every setting is explained, by its own doc comment.
func TestExplain(t *testing.T) {
	for _, key := range config.Keys() {
		text, err := config.Explain(key)
		if err != nil || len(text) < 100 || !strings.Contains(text, "TD_"+strings.ToUpper(key)) || strings.Contains(text, "\n\n\n") {
			t.Errorf("%s (%v):\n%s", key, err, text)
		}
	}
	text, err := config.Explain("max-sessions")
	const want = `max_sessions

  Requests that may be pending at a time; beyond it new ones are refused
  as overloaded. One with long parameters counts once for each started 256
  bytes of them, so that this bounds memory too.

  value    a whole number, from 1 to 2000000
  default  100000
  flag     --max-sessions
  env      TD_MAX_SESSIONS
`
	if text != want || err != nil {
		t.Errorf("got %v\n%s", err, text)
	}
	var e *fault.Fault
	if _, err := config.Explain("max_sesions"); !errors.As(err, &e) || e.Hint != `did you mean "max_sessions"?` {
		t.Errorf("the error of a misspelt key is %v", err)
	}
}

// No setting can hold a key of the protocol or any other secret.
func TestNoSecrets(t *testing.T) {
	secret := regexp.MustCompile(`(?i)key|secret|seed|token|passw|private|mac|credential|pem`)
	paths := map[string]bool{"TLSKey": true} // names a file; see "pem" in TestFileFaults
	for f := range fields() {
		if secret.MatchString(f.Name) && !paths[f.Name] {
			t.Errorf("%s looks like a place for a secret", f.Name)
		}
		switch f.Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64:
		case reflect.Slice:
			if f.Type.Elem().Kind() != reflect.String {
				t.Errorf("%s can hold bytes", f.Name)
			}
		default:
			t.Errorf("%s is of a kind that this test does not know", f.Name)
		}
	}
}

// fields returns every exported field of Config; each has a key of its own.
func fields() func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for f := range reflect.TypeFor[config.Config]().Fields() {
			if f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func TestKeys(t *testing.T) {
	seen := make(map[string]bool)
	n := 0
	for f := range fields() {
		key := f.Tag.Get("key")
		if !regexp.MustCompile(`^[a-z][a-z_]*$`).MatchString(key) || seen[key] {
			t.Errorf("%s has the key %q", f.Name, key)
		}
		seen[key] = true
		n++
	}
	if n != len(config.Keys()) {
		t.Errorf("%d fields, %d keys", n, len(config.Keys()))
	}
}

// No file makes Load panic or show its own types.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"listen = 'x'", "[a]", "a.b = 1", "group = [\"a\"]", "x = {", "ttl_ms = 0x7d0", "\"\" = 1", "max_lag = +1_0", "a = \"\\u0000\"", "\ufeff", "[[", "= 1", "listen = \"\"\"\n\"\"\""} {
		f.Add(s)
	}
	path := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(home, map[string]string{"config": path})
		var e *fault.Fault
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%T: %v", err, err)
		}
	})
}

func TestRotationWindow(t *testing.T) {
	for text, want := range map[string][2]time.Duration{
		"":            {0, 0},
		"02:00-04:30": {2 * time.Hour, 4*time.Hour + 30*time.Minute},
		"23:00-01:00": {23 * time.Hour, time.Hour},
	} {
		if from, to := load(t, home, map[string]string{"rotation-window": text}).Window(); from != want[0] || to != want[1] {
			t.Errorf("%q is %v to %v", text, from, to)
		}
	}
	for _, text := range []string{"02:00", "2-4", "02:00-02:00", "02:00-24:00", "02:00-04:00-06:00", "-"} {
		if _, err := config.Load(home, map[string]string{"rotation-window": text}); err == nil || !strings.Contains(err.Error(), "rotation-window") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
