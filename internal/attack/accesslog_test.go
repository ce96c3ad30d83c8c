package attack_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/accesslog"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/protocol"
)

// visit is one line of testdata/accesslog.gz, as a request to this server.
type visit struct {
	after time.Duration // since the first
	telemetry.Request
}

// visits reads testdata/accesslog.gz, whose lines are those of an access log made shorter.
func visits(t *testing.T) (all []visit) {
	t.Helper()
	f, err := os.Open("testdata/accesslog.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		var seconds, status int
		var address, method, kind string
		if _, err := fmt.Sscan(lines.Text(), &seconds, &address, &method, &status, &kind); err != nil {
			t.Fatal(err)
		}
		q := accesslog.Request(time.Time{}, netip.MustParseAddr(address), method, accesslog.Kind(kind), status, 0)
		all = append(all, visit{time.Duration(seconds) * time.Second, q})
	}
	return all
}

// classes are the classes of the operations of an access log.
var classes = map[string]limit.Class{"sendProof": limit.Submit, "openChallenge": limit.Issue, "getCheckpoint": limit.Read, "getTile": limit.Read}

// replayed is what a replay showed.
type replayed struct {
	admitted, refused, sources, sourcesRefused int
}

// TestAccessLog replays the traffic of a real web server through resolver, limits and
// metrics. At its own speed no visitor is limited. When it runs a hundred or a thousand
// times as fast, only the three or four busiest are, by the quota of their address.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	all := visits(t)
	for faster, want := range map[int]replayed{
		1:    {admitted: 10_000, sources: 1753},
		100:  {admitted: 9966, refused: 34, sources: 1753, sourcesRefused: 3},
		1000: {admitted: 9956, refused: 44, sources: 1753, sourcesRefused: 4},
	} {
		t.Run(fmt.Sprint(faster), func(t *testing.T) {
			t.Parallel()
			if got := replay(t, all, faster); got != want {
				t.Errorf("%d times as fast: %+v, want %+v", faster, got, want)
			}
		})
	}
}

// replay replays visits that came through a proxy.
func replay(t *testing.T, all []visit, faster int) (r replayed) {
	t.Helper()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limits, err := limit.New(began, limit.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	proxy := netip.MustParseAddr("192.0.2.1")
	resolver, err := limit.NewResolver(limit.XForwardedFor, []netip.Prefix{netip.PrefixFrom(proxy, 32)}, false)
	if err != nil {
		t.Fatal(err)
	}
	counted := metrics.New(metrics.Options{Labels: metrics.Labels{Operations: []string{"openChallenge", "sendProof", "getTile", "getCheckpoint"}, Claims: []string{"open/1"}}})
	series := strings.Count(scrape(counted), "\n")
	seen, limited := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, v := range all {
		// What is left of the last address was written by the visitor.
		header := http.Header{"X-Forwarded-For": {"203.0.113.9, unknown", v.Source.String()}}
		s := resolver.Resolve(proxy, header.Values)
		if s.Addr != v.Source || s.Local {
			t.Fatalf("%v was resolved as %+v", v.Source, s)
		}
		now := began.Add(v.after / time.Duration(faster))
		d := limits.Admit(now, s, classes[v.Operation], "", 0)
		request := v.Request
		request.At = now
		seen[s.Addr] = true
		if d.OK {
			r.admitted++
		} else {
			r.refused++
			limited[s.Addr] = true
			request.Code, request.Cause = protocol.CodeRateLimited, telemetry.Limited
			if d.RetryAfter <= 0 {
				t.Errorf("%v is refused without a time to ask again", s.Addr)
			}
		}
		counted.Request(request)
	}
	r.sources, r.sourcesRefused = len(seen), len(limited)
	text := scrape(counted)
	if after := strings.Count(text, "\n"); after != series {
		t.Errorf("the traffic has added series: %d lines, then %d", series, after)
	}
	if found := regexp.MustCompile(`"[^"]*[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+[^"]*"`).FindString(text); found != "" {
		t.Errorf("a label holds the address %s", found)
	}
	return r
}

// scrape returns the text of all metrics.
func scrape(m *metrics.Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}
