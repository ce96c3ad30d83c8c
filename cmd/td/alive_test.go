package main_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRetryRidesOverRestarts kills the server while td submit works, and starts it again:
// each event gets exactly one receipt, in one run.
func TestRetryRidesOverRestarts(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill=%v", kill), func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			b := startBackend(t, data)
			s := newSubmitter(t, 10, "--retry", "2m")
			type outcome struct {
				code   int
				stderr string
			}
			ended := make(chan outcome, 1)
			url := b.url
			go func() {
				code, stderr := s.run(url)
				ended <- outcome{code, stderr}
			}()
			for _, receipts := range []int{2, 8} {
				eventually(t, time.Minute, "there is no receipt", func() bool { return s.count("*.receipt.json") >= receipts })
				if kill {
					b.kill()
				} else {
					b.stop(20 * time.Second)
				}
				b = startBackend(t, data, "--listen", strings.TrimPrefix(url, "http://"))
			}
			got := <-ended
			if got.code != 0 {
				t.Fatalf("exit code %d, want 0\n%s", got.code, got.stderr)
			}
			if n := strings.Count(got.stderr, "waiting up to 2m0s for "+url); n != 1 {
				t.Errorf("it says %d times that it waits\n%s", n, got.stderr)
			}
			s.check(b, s.events)
		})
	}
}

// otherCommand is "other page STATUS MEDIA BODY", "other speak TEXT" or "other tls": it
// starts a server that is not ours and sets $OTHER to its URL, and $SECURE to the same
// with https.
func otherCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: other page STATUS MEDIA BODY | speak TEXT | tls")
	}
	handler := http.NotFoundHandler()
	if args[0] == "page" {
		status, err := strconv.Atoi(args[1])
		ts.Check(err)
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", args[2])
			w.WriteHeader(status)
			_, _ = io.WriteString(w, args[3])
		})
	}
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	switch args[0] {
	case "tls":
		s.StartTLS()
	case "speak":
		s.Listener = speaker{s.Listener, args[1]}
		s.Start()
	default:
		s.Start()
	}
	ts.Defer(s.Close)
	_, address, _ := strings.Cut(s.URL, "://")
	ts.Setenv("OTHER", "http://"+address)
	ts.Setenv("SECURE", "https://"+address)
}

// speaker greets every connection in another protocol.
type speaker struct {
	net.Listener
	greeting string
}

func (s speaker) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err == nil {
		_, err = io.WriteString(conn, s.greeting+"\r\n")
	}
	return conn, err
}
