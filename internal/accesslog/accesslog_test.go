package accesslog_test

import (
	"strings"
	"testing"

	"github.com/terradourada/td/internal/accesslog"
	"github.com/terradourada/td/internal/telemetry"
)

const lines = `192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /images/a.png HTTP/1.1" 200 203023 "http://example.org/" "Mozilla/5.0"
192.0.2.8 - lab [17/May/2015:10:05:04 +0200] "POST /a?b=c HTTP/1.1" 404 -
2001:db8::1 - - [17/May/2015:10:05:05 +0000] "GET /blog/?flav=rss20 HTTP/1.1" 500 12 "-" "cut off
192.0.2.7 - - [17/May/2015:10:05:06 +0000] "GET /index.atom HTTP/1.1" 403 1
`

func TestRead(t *testing.T) {
	t.Parallel()
	var got []telemetry.Request
	bad, err := accesslog.Read(strings.NewReader(lines+"not a line\n"), func(q telemetry.Request) { got = append(got, q) })
	if err != nil || bad != 1 || len(got) != 4 {
		t.Fatal(bad, err, got)
	}
	for i, want := range []struct {
		operation string
		cause     telemetry.Cause
	}{{"getTile", telemetry.NoCause}, {"sendProof", telemetry.NotFound}, {"openChallenge", telemetry.Fault}, {"getCheckpoint", telemetry.Forbidden}} {
		if got[i].Operation != want.operation || got[i].Cause != want.cause {
			t.Errorf("line %d is %+v, want %v", i+1, got[i], want)
		}
	}
	if got[0].Sent != 203023 || got[1].At.Sub(got[0].At).Hours() > -1.9 {
		t.Errorf("sizes and times: %+v", got[:2])
	}
	if _, err := accesslog.Read(strings.NewReader("a\nb\n"), func(telemetry.Request) {}); err == nil {
		t.Error("two lines of text are an access log")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(lines)
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = accesslog.Read(strings.NewReader(text), func(telemetry.Request) {})
	})
}
