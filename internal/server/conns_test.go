package server_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/terradourada/td/internal/server"
)

// silent opens a connection and sends nothing; gone is closed when the server
// has closed it.
func (s *service) silent() (gone <-chan struct{}) {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		io.Copy(io.Discard, c)
	}()
	return ch
}

// TestSilentConnectionsMakeRoom: a client that opens silent connections loses
// the oldest and does not block others.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxConns = 4 })
	var gone []<-chan struct{}
	for range 12 {
		gone = append(gone, s.silent())
		s.alive()
	}
	for i, ch := range gone[:8] { // each s.alive has taken one place more
		select {
		case <-ch:
		case <-time.After(3 * time.Second): // less than the time for a header
			t.Fatalf("silent connection %d of 12 is still open", i)
		}
	}
	select {
	case <-gone[11]:
		t.Error("the newest connection was closed")
	default:
	}
}

// TestBusyConnectionsAreKept: a connection with a request in work is never
// closed for another one.
func TestBusyConnectionsAreKept(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxConns = 2 })
	let := make(chan struct{})
	s.fake.set(func(f *fake) { f.block = let })
	done := make(chan int)
	for range 2 {
		go func() { done <- s.post("/v1/challenges", challengeBody).StatusCode }()
		<-s.fake.enter
	}
	select {
	case <-s.silent():
	case <-time.After(3 * time.Second):
		t.Error("a connection too many was kept")
	}
	close(let)
	for range 2 {
		if status := <-done; status != http.StatusCreated {
			t.Errorf("a request in work ended with %d", status)
		}
	}
}
