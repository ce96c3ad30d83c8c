package localserver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/terradourada/td/internal/localserver"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		os.Exit(serve(os.Args[2]))
	}
	os.Exit(m.Run())
}

// serve behaves like a server that works, exits at its start, or exits when it is
// ready.
func serve(how string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, "some line")
	if how == "refuses" {
		return 8
	}
	fmt.Fprintln(os.Stderr, localserver.ReadyLine+"http://server")
	if how == "exits" {
		return 1
	}
	<-stop
	return 0
}

func TestStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := localserver.Start(ctx, "works")
	if err != nil {
		t.Fatal(err)
	}
	cancel() // which leaves it running
	if s.URL() != "http://server" || s.PID() < 2 {
		t.Errorf("process %d at %s", s.PID(), s.URL())
	}
	why := errors.New("why")
	if got := s.Explain(why); got.Error() != "why" {
		t.Errorf("of a server that runs: %v", got)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if got := s.Explain(why); !errors.Is(got, why) || !strings.Contains(got.Error(), "exit status 0\nsome line\n") {
		t.Errorf("of a server that was stopped: %v", got)
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	_, err := localserver.Start(t.Context(), "refuses")
	if err == nil || !strings.Contains(err.Error(), "exit status 8\nsome line\n") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := localserver.Start(ctx, "works"); err == nil {
		s.Kill() // it was ready before the end of ctx was seen
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"works", "exits"} {
		s, err := localserver.Start(t.Context(), how)
		if err != nil {
			if how == "exits" { // its end may be seen first
				continue
			}
			t.Fatal(err)
		}
		s.Kill()
		if err := s.Explain(context.Canceled); !strings.Contains(err.Error(), "had exited") {
			t.Error(err)
		}
	}
}
