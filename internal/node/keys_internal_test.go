package node

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
)

// at is a listener that is nowhere.
type at struct {
	net.Listener
	ip string
}

func (a at) Addr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(a.ip), Port: 443} }

// TestCheckKeys: clients are anonymous on a loopback address only, and a listener that
// others can reach needs a client with a key.
func TestCheckKeys(t *testing.T) {
	j := runningJournal(t)
	check := func(ip string, authenticate bool) (*node, error) {
		n := &node{
			Config:   Config{Settings: &config.Config{Authenticate: authenticate}, Log: slog.New(slog.DiscardHandler)},
			listener: at{ip: ip}, records: &records{journal: j},
		}
		return n, n.checkKeys()
	}
	for _, ip := range []string{"127.0.0.1", "127.9.9.9", "::1"} {
		for _, authenticate := range []bool{false, true} {
			if n, err := check(ip, authenticate); err != nil || n.bounds.KeysOnly != authenticate || n.bounds.Clients() == nil {
				t.Errorf("%s, %v: %v", ip, authenticate, err)
			}
		}
	}
	for _, ip := range []string{"0.0.0.0", "::", "192.0.2.1", "fe80::1"} {
		if n, err := check(ip, false); err == nil || !n.bounds.KeysOnly || !strings.Contains(err.Error(), "no client has a valid API key") {
			t.Errorf("%s: %v", ip, err)
		}
	}
	k := principal.NewKey()
	record := principal.Record{ID: k.ID(), Digest: k.Digest(), Scopes: principal.AllScopes()}
	if err := j.AddClient(t.Context(), time.Now(), journal.Request{Action: "clients add"}, "north", record); err != nil {
		t.Fatal(err)
	}
	if n, err := check("192.0.2.1", false); err != nil || !n.bounds.KeysOnly {
		t.Errorf("with a key: %v", err)
	}
}
