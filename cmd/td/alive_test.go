package main_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
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
			ended := make(chan int, 1)
			url, stderr := b.url, new(overheard)
			go func() { ended <- s.runTo(stderr, url) }()
			waiting := "waiting up to 2m0s for " + url
			for _, receipts := range []int{2, 8} {
				eventually(t, time.Minute, "there is no receipt", func() bool { return s.count("*.receipt.json") >= receipts })
				if kill {
					b.kill()
				} else {
					b.stop(20 * time.Second)
				}
				eventually(t, time.Minute, "it does not say that it waits", func() bool { return strings.Contains(stderr.String(), waiting) })
				b = startBackend(t, data, "--listen", strings.TrimPrefix(url, "http://"))
			}
			if code := <-ended; code != 0 {
				t.Fatalf("exit code %d, want 0\n%s", code, stderr)
			}
			if n := strings.Count(stderr.String(), waiting); n != 1 {
				t.Errorf("it says %d times that it waits\n%s", n, stderr)
			}
			s.check(b, s.events)
		})
	}
}

// overheard is what a program has said so far.
type overheard struct {
	mu   sync.Mutex
	said bytes.Buffer
}

func (o *overheard) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.Write(b)
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.String()
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
