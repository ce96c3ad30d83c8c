package limit_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/terradourada/td/internal/limit"
)

func TestConns(t *testing.T) {
	c := limit.NewConns(2)
	open := func(a string) bool { return c.Acquire(netip.MustParseAddr(a)) }
	for i, step := range []struct {
		addr string
		want bool
	}{
		{"192.0.2.1", true},
		{"192.0.2.1", true},
		{"192.0.2.1", false},
		{"::ffff:192.0.2.1", false},
		{"192.0.2.2", true},
		{"2001:db8::1", true},
		{"2001:db8::2", true},
		{"2001:db8::3", false},
		{"2001:db8:0:1::1", true},
		{"127.0.0.1", true},
		{"127.0.0.1", true},
		{"127.0.0.1", true},
		{"::1", true},
		{"::1", true},
		{"::1", true},
		{"10.0.0.1", true},
		{"::ffff:10.0.0.1", true},
	} {
		if got := open(step.addr); got != step.want {
			t.Errorf("step %d: connection of %s accepted: %v, want %v", i, step.addr, got, step.want)
		}
	}
	c.Release(netip.MustParseAddr("192.0.2.1"))
	if !open("192.0.2.1") || open("192.0.2.1") {
		t.Error("one connection was released, and not one is accepted")
	}
	if c.Replace(3); !open("192.0.2.1") || open("192.0.2.1") {
		t.Error("the new bound is not in force")
	}
	if c.Replace(0); !open("192.0.2.1") {
		t.Error("a connection is refused without a bound")
	}
}

// TestConnsAtOnce: the count is right when many goroutines open and close.
func TestConnsAtOnce(t *testing.T) {
	c, a := limit.NewConns(8), netip.MustParseAddr("192.0.2.1")
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				if c.Acquire(a) {
					c.Release(a)
				}
			}
		})
	}
	all.Wait()
	for i := range 9 {
		if got := c.Acquire(a); got != (i < 8) {
			t.Fatalf("connection %d accepted: %v", i, got)
		}
	}
}
