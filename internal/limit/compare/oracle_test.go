package compare

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/realclientip/realclientip-go"

	"github.com/terradourada/td/internal/limit"
)

// TestOracle: where another implementation finds the address of a client right of all
// trusted proxies, the resolver finds the same. Where that finds none, the resolver
// returns a trusted proxy.
func TestOracle(t *testing.T) {
	hops := []string{
		"10.0.0.2", "10.1.2.3:80", "[::ffff:10.0.0.3]", "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:443",
		"fe80::1%eth0", "::ffff:192.0.2.9", "unknown", "_hidden", "", " ", "192.0.2", "256.1.1.1", "[2001:db8::1", "0.0.0.0", "a,b",
	}
	for header, format := range map[string]func(string) string{
		limit.XForwardedFor: func(h string) string { return h },
		limit.Forwarded:     func(h string) string { return `proto=https;for="` + h + `"` },
	} {
		_, trusted, err := net.ParseCIDR("10.0.0.0/8")
		if err != nil {
			t.Fatal(err)
		}
		oracle, err := realclientip.NewRightmostTrustedRangeStrategy(header, []net.IPNet{*trusted})
		if err != nil {
			t.Fatal(err)
		}
		own, err := limit.NewResolver(header, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, false)
		if err != nil {
			t.Fatal(err)
		}
		r, same, none := rand.New(rand.NewPCG(1, 2)), 0, 0
		for range 100_000 {
			var lines []string
			for range 1 + r.IntN(3) {
				var line []string
				for range 1 + r.IntN(4) {
					line = append(line, format(hops[r.IntN(len(hops))]))
				}
				lines = append(lines, strings.Join(line, ", "))
			}
			h := http.Header{header: lines}
			got := own.Resolve(netip.MustParseAddr("10.0.0.1"), h.Values).Addr
			want := oracle.ClientIP(h, "10.0.0.1:1")
			if want == "" {
				if none++; !trusted.Contains(net.IP(got.AsSlice())) {
					t.Fatalf("%q: %v, where the oracle finds none", lines, got)
				}
				continue
			}
			want, _, _ = strings.Cut(want, "%")
			if same++; got.String() != want {
				t.Fatalf("%q: %v, the oracle finds %s", lines, got, want)
			}
		}
		t.Logf("%s: %d the same, %d without an address", header, same, none)
	}
}
