package limit_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/limit"
)

// resolver returns a resolver that trusts some proxies.
func resolver(t testing.TB, header string, trusted ...string) *limit.Resolver {
	t.Helper()
	prefixes, err := limit.ParsePrefixes(trusted)
	if err != nil {
		t.Fatal(err)
	}
	r, err := limit.NewResolver(header, prefixes, false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestResolve has each way in which the address of a client is taken from a header
// wrongly.
func TestResolve(t *testing.T) {
	const proxy, inner, client = "10.0.0.1", "10.0.0.2", "203.0.113.7"
	xff, fwd := limit.XForwardedFor, limit.Forwarded
	for _, c := range []struct {
		name, header, peer string
		given              http.Header
		want               string
	}{
		// Only the right end is written by proxies, and only by trusted ones.
		{"the client's own text is on the left", xff, proxy, http.Header{xff: {"1.1.1.1, 2.2.2.2, " + client}}, client},
		{"two trusted proxies", xff, proxy, http.Header{xff: {"1.1.1.1, " + client + ", " + inner}}, client},
		{"a peer that is not trusted", xff, client, http.Header{xff: {"1.1.1.1"}}, client},
		{"all are trusted", xff, proxy, http.Header{xff: {"10.9.9.9, " + inner}}, "10.9.9.9"},
		{"no header", xff, proxy, nil, proxy},
		{"trusted in the client's text", xff, proxy, http.Header{xff: {"1.1.1.1, " + inner + ", " + client}}, client},

		// Lines of one header are one list.
		{"the client is in the last line", xff, proxy, http.Header{xff: {"1.1.1.1", client}}, client},
		{"the last line is of a proxy", xff, proxy, http.Header{xff: {"1.1.1.1, " + client, inner}}, client},
		{"an empty line", xff, proxy, http.Header{xff: {client, ""}}, proxy},

		// One header counts.
		{"another header", xff, proxy, http.Header{fwd: {"for=1.1.1.1"}, "X-Real-Ip": {"2.2.2.2"}}, proxy},
		{"none is configured", "", proxy, http.Header{xff: {"1.1.1.1"}}, proxy},
		{"both", fwd, proxy, http.Header{xff: {"1.1.1.1"}, fwd: {"for=" + client}}, client},

		// Forms of addresses.
		{"port", xff, proxy, http.Header{xff: {client + ":4711"}}, client},
		{"brackets", xff, proxy, http.Header{xff: {"[2001:db8::1]"}}, "2001:db8::1"},
		{"brackets and port", xff, proxy, http.Header{xff: {"[2001:db8::1]:443"}}, "2001:db8::1"},
		{"bare IPv6", xff, proxy, http.Header{xff: {"2001:db8::1"}}, "2001:db8::1"},
		{"zone", xff, proxy, http.Header{xff: {"fe80::1%eth0"}}, "fe80::1"},
		{"zone in brackets", xff, proxy, http.Header{xff: {"[fe80::1%eth0]:1"}}, "fe80::1"},
		{"IPv4 in IPv6", xff, proxy, http.Header{xff: {"::ffff:203.0.113.7"}}, client},
		{"a trusted proxy in IPv6 form", xff, "::ffff:10.0.0.1", http.Header{xff: {client + ", ::ffff:10.0.0.2"}}, client},
		{"tabs and blanks", xff, proxy, http.Header{xff: {" 1.1.1.1 ,\t" + client + "\t "}}, client},

		// What has no address is charged to the last trusted proxy.
		{"unknown", xff, proxy, http.Header{xff: {client + ", unknown, " + inner}}, inner},
		{"obfuscated", fwd, proxy, http.Header{fwd: {"for=" + client + `, for="_gazonk", for=` + inner}}, inner},
		{"nothing", xff, proxy, http.Header{xff: {client + ","}}, proxy},
		{"a name", xff, proxy, http.Header{xff: {"client.example"}}, proxy},
		{"leading zeros", xff, proxy, http.Header{xff: {"010.0.0.1"}}, proxy},
		{"three numbers", xff, proxy, http.Header{xff: {"10.0.1"}}, proxy},
		{"unspecified", xff, proxy, http.Header{xff: {"0.0.0.0"}}, proxy},
		{"bad port", xff, proxy, http.Header{xff: {client + ":http"}}, proxy},
		{"an open bracket", xff, proxy, http.Header{xff: {"[2001:db8::1"}}, proxy},
		{"IPv4 in brackets", xff, proxy, http.Header{xff: {"[203.0.113.7]"}}, proxy},
		{"a unix socket", xff, proxy, http.Header{xff: {"unix:"}}, proxy},

		// Bounds.
		{"16 trusted hops and one", xff, proxy, http.Header{xff: {client + strings.Repeat(", "+inner, 16)}}, inner},
		{"15 trusted hops and one", xff, proxy, http.Header{xff: {client + strings.Repeat(", "+inner, 15)}}, client},
		{"a long text on the left", xff, proxy, http.Header{xff: {strings.Repeat("1.1.1.1,", 1000) + client}}, client},
		{"a long hop", xff, proxy, http.Header{xff: {strings.Repeat("1", 4000)}}, proxy},
		{"hops of blanks", xff, proxy, http.Header{xff: {client + "," + strings.Repeat(inner+strings.Repeat(" ", 150)+",", 15)}}, proxy},

		// Forwarded.
		{"RFC 7239", fwd, proxy, http.Header{fwd: {`for=1.1.1.1;proto=http;by=10.0.0.3, For="[2001:db8:cafe::17]:4711";proto=https`}}, "2001:db8:cafe::17"},
		{"a quoted address", fwd, proxy, http.Header{fwd: {`proto=http; FOR = "203.0.113.7:80"`}}, client},
		{"the client opens a quote", fwd, proxy, http.Header{fwd: {`for="1.1.1.1, for=` + client}}, client},
		{"the client closes its quote in a second line", fwd, proxy, http.Header{fwd: {`for="`, `for=` + client}}, client},
		{"two addresses in one element", fwd, proxy, http.Header{fwd: {"for=" + client + ";for=1.1.1.1"}}, proxy},
		{"the client's host name has a comma and an address", fwd, proxy, http.Header{fwd: {`for=203.0.113.7;host="a,for=1.1.1.1;x=";proto=http`}}, proxy},
		{"an escaped quote", fwd, proxy, http.Header{fwd: {`for=203.0.113.7;host="\"a,for=1.1.1.1;x=\""`}}, proxy},
		{"half a quote", fwd, proxy, http.Header{fwd: {`for="203.0.113.7`}}, proxy},
		{"no for", fwd, proxy, http.Header{fwd: {"for=" + client + ", proto=https"}}, proxy},
		{"unknown in it", fwd, proxy, http.Header{fwd: {"for=unknown"}}, proxy},

		// The network of the proxy is not trusted because it is private.
		{"a private address", xff, proxy, http.Header{xff: {"1.1.1.1, 192.168.1.5"}}, "192.168.1.5"},
		{"a private peer", xff, "192.168.1.5", http.Header{xff: {"1.1.1.1"}}, "192.168.1.5"},
	} {
		trusted := []string{"10.0.0.0/8"}
		got := resolver(t, c.header, trusted...).Resolve(netip.MustParseAddr(c.peer), c.given.Values)
		if got.Addr != netip.MustParseAddr(c.want) || got.Local {
			t.Errorf("%s: client %v, local %v; want %s", c.name, got.Addr, got.Local, c.want)
		}
	}
}

// TestResolveLocal: only a loopback peer without any sign of a proxy is local.
func TestResolveLocal(t *testing.T) {
	header := func(name string) http.Header { return http.Header{name: {"203.0.113.7"}} }
	for _, c := range []struct {
		name, peer string
		given      http.Header
		local      bool
		want       string
	}{
		{"direct", "127.0.0.1", nil, true, "127.0.0.1"},
		{"direct, IPv6", "::1", nil, true, "::1"},
		{"direct, IPv4 in IPv6", "::ffff:127.9.9.9", nil, true, "127.9.9.9"},
		{"from elsewhere", "203.0.113.1", nil, false, "203.0.113.1"},
		{"behind the configured proxy", "127.0.0.1", header("X-Forwarded-For"), false, "203.0.113.7"},
		{"behind another proxy", "127.0.0.1", header("Forwarded"), false, "127.0.0.1"},
		{"behind a third", "127.0.0.1", header("X-Real-Ip"), false, "127.0.0.1"},
		{"behind a fourth", "127.0.0.1", header("Via"), false, "127.0.0.1"},
		{"a header without text", "127.0.0.1", http.Header{"Via": {""}}, false, "127.0.0.1"},
	} {
		got := resolver(t, limit.XForwardedFor, "127.0.0.0/8").Resolve(netip.MustParseAddr(c.peer), c.given.Values)
		if got.Local != c.local || got.Addr != netip.MustParseAddr(c.want) {
			t.Errorf("%s: %v, local %v; want %s, local %v", c.name, got.Addr, got.Local, c.want, c.local)
		}
	}
	all, err := limit.NewResolver("", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if s := all.Resolve(netip.MustParseAddr("127.0.0.1"), http.Header{}.Values); s.Local {
		t.Error("a peer is local where none may be")
	}
	if s := all.Resolve(netip.Addr{}, http.Header{}.Values); s.Local || s.Addr.IsValid() {
		t.Errorf("a peer without address is %v", s)
	}
}

func TestNewResolver(t *testing.T) {
	for _, c := range []struct {
		header  string
		trusted []string
	}{
		{"X-Real-Ip", []string{"10.0.0.1"}},
		{"x-forwarded-for", []string{"10.0.0.1"}},
		{limit.Forwarded, nil},
	} {
		prefixes, err := limit.ParsePrefixes(c.trusted)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := limit.NewResolver(c.header, prefixes, false); err == nil {
			t.Errorf("header %q with the proxies %v is accepted", c.header, c.trusted)
		}
	}
	for text, want := range map[string]string{
		"10.1.2.3": "10.1.2.3/32", "10.1.2.3/8": "10.0.0.0/8", "::1": "::1/128", "::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.0.0.1": "10.0.0.1/32",
		"10.0.0.0/33": "", "fe80::1%eth0": "", "host": "", "::ffff:0:0/90": "", "": "",
	} {
		got, err := limit.ParsePrefixes([]string{text})
		if (err != nil) != (want == "") || err == nil && got[0].String() != want {
			t.Errorf("%q is %v, %v; want %q", text, got, err, want)
		}
	}
}

// FuzzResolve: whatever is left of what a trusted proxy has written changes nothing, and
// no text makes a client out of a trusted proxy's address book.
func FuzzResolve(f *testing.F) {
	for _, s := range []string{"", "1.1.1.1", `for="[::1]:1"`, `for="`, ",,,", "unknown", strings.Repeat("10.0.0.1,", 20), "::ffff:1.2.3.4%x"} {
		f.Add(s)
	}
	peer, client := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("203.0.113.7")
	readers := map[string]*limit.Resolver{"": resolver(f, limit.XForwardedFor, "10.0.0.0/8"), "for=": resolver(f, limit.Forwarded, "10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, text string) {
		for prefix, r := range readers {
			values := func(lines ...string) func(string) []string { return func(string) []string { return lines } }
			for _, lines := range [][]string{{text + "," + prefix + "203.0.113.7"}, {text, prefix + "203.0.113.7"}} {
				if got := r.Resolve(peer, values(lines...)); got.Addr != client {
					t.Errorf("%q: client %v", lines, got.Addr)
				}
			}
			got := r.Resolve(peer, values(text))
			if a := got.Addr; !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || got.Local {
				t.Errorf("%q: client %v, local %v", text, a, got.Local)
			}
		}
	})
}
