package limit_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/terradourada/td/internal/limit"
)

func TestConns(t *testing.T) {
	exempt, err := limit.ParsePrefixes([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	c := limit.NewConns(2, exempt)
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
		{"10.0.0.1", true},
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
	if c.Replace(3, nil); !open("192.0.2.1") || open("192.0.2.1") || open("10.0.0.1") {
		t.Error("the new bound is not in force")
	}
	if c.Replace(0, nil); !open("192.0.2.1") {
		t.Error("a connection is refused without a bound")
	}
	if got := c.Refused(); got != 6 {
		t.Errorf("%d connections were refused, want 6", got)
	}
}

// pipes is a listener whose connections come from one address.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

type from struct {
	net.Conn
	addr *net.TCPAddr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// TestListen: the listener closes connections that are too many, and a connection that is
// closed, even twice, makes room for one.
func TestListen(t *testing.T) {
	for _, late := range []bool{false, true} {
		p := &pipes{conns: make(chan net.Conn, 10)}
		conns := limit.NewConns(1, nil)
		l := conns.Listen(p, late)
		dial := func() net.Conn {
			here, there := net.Pipe()
			p.conns <- from{there, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}}
			return here
		}
		use := func(c net.Conn) error {
			_, err := c.Read(make([]byte, 1))
			return err
		}
		first := dial()
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = first.Write([]byte("xy")) }()
		if err := use(a); err != nil {
			t.Fatal(err)
		}
		second := dial()
		if !late { // it is closed by Accept, which returns the third
			close(p.conns)
			if _, err := l.Accept(); err == nil {
				t.Error("a connection too many is accepted")
			}
			p.conns = make(chan net.Conn, 1)
		} else if b, err := l.Accept(); err != nil || use(b) == nil {
			t.Errorf("a connection too many is read from, %v", err)
		} else {
			_ = b.Close()
		}
		if _, err := second.Write([]byte("x")); err == nil {
			t.Error("the connection too many is open")
		}
		_, _ = a.Close(), a.Close()
		third := dial()
		go func() { _, _ = third.Write([]byte("x")) }()
		if c, err := l.Accept(); err != nil || use(c) != nil {
			t.Errorf("late %v: the place of a closed connection is not free, %v", late, err)
		}
		if conns.Acquire(netip.MustParseAddr("192.0.2.1")) {
			t.Errorf("late %v: closing twice has made room twice", late)
		}
	}
}

// TestConnsAtOnce: the count is right when many goroutines open and close.
func TestConnsAtOnce(t *testing.T) {
	c, a := limit.NewConns(8, nil), netip.MustParseAddr("192.0.2.1")
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
