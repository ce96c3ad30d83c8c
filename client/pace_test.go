package client_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// everyCall is every call of the client, and of the log that reads with it.
var everyCall = map[string]func(context.Context, *client.Client) error{
	"challenge": calls["challenge"], "push": calls["push"], "proof": calls["proof"],
	"receipt": func(ctx context.Context, c *client.Client) error { _, err := c.Receipt(ctx, anID, 0); return err },
	"verify": func(ctx context.Context, c *client.Client) error {
		p := receipt.Pair{Leaf: []byte{1}, Log: "l"}
		_, err := c.Verify(ctx, &receipt.Receipt{Version: 1, Pair: p, Claim: p, Epoch: p, Signer: p, Last: p}, false)
		return err
	},
	"claims":      func(ctx context.Context, c *client.Client) error { _, err := c.Claims(ctx); return err },
	"epochs":      func(ctx context.Context, c *client.Client) error { _, err := c.Epochs(ctx); return err },
	"epoch":       func(ctx context.Context, c *client.Client) error { _, err := c.Epoch(ctx, 1); return err },
	"attestation": func(ctx context.Context, c *client.Client) error { _, err := c.Attestation(ctx, 1); return err },
	"status":      func(ctx context.Context, c *client.Client) error { _, err := c.Status(ctx); return err },
	"checkpoint":  func(ctx context.Context, c *client.Client) error { _, err := c.Checkpoint(ctx); return err },
	"tile":        func(ctx context.Context, c *client.Client) error { _, err := c.Tile(ctx, "0/000"); return err },
	"log": func(ctx context.Context, c *client.Client) error {
		_, err := client.NewLog(c).SignedCheckpoint(ctx)
		return err
	},
}

// TestEveryCallEnds: a server that sends a byte a second, before or after the head of its
// answer, and one that hangs, end every call within minutes.
func TestEveryCallEnds(t *testing.T) {
	body := func(media string) answerFunc {
		return func(r *http.Request) (*http.Response, error) {
			status := 200
			if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "verify") {
				status = 201
			}
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: trickle{r.Context()}, Request: r}, nil
		}
	}
	refusal := func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 503, Header: http.Header{"Content-Type": {api.MediaProblem}}, Body: trickle{r.Context()}, Request: r}, nil
	}
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, call := range everyCall {
		for kind, answer := range map[string]answerFunc{
			"JSON": body(api.MediaJSON), "octets": body(api.MediaOctets), "receipt": body(api.MediaReceipt), "refusal": refusal, "hang": hang,
		} {
			synctest.Test(t, func(t *testing.T) {
				c, _ := play(t, client.Config{}, answer)
				begin := time.Now()
				err := call(t.Context(), c)
				slow := new(client.SlowError)
				if took := time.Since(begin); err == nil || took > 3*time.Minute {
					t.Errorf("%s, %s: %v after %v", name, kind, err, took)
				}
				if kind == "hang" && (!errors.As(err, &slow) || slow.Answered || slow.Within != time.Minute) {
					t.Errorf("%s, %s: %v", name, kind, err)
				}
			})
		}
	}
}

// trickle sends a byte a second.
type trickle struct{ ctx context.Context }

func (d trickle) Read(b []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		b[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (trickle) Close() error { return nil }

// TestSlowAnswers: what comes at the least rate is complete, what is slower is not, and a
// wait that the client asked for is no hanging.
func TestSlowAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		each time.Duration // between two KiB
		ok   bool
	}{"steady": {time.Second, true}, "slow": {3 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := play(t, client.Config{}, func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {api.MediaOctets}}, Body: &steady{tt.each, 300, r.Context()}, Request: r}, nil
			})
			_, err := c.Tile(t.Context(), "entries/000")
			slow := new(client.SlowError)
			if tt.ok && err != nil || !tt.ok && (!errors.As(err, &slow) || !slow.Answered) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := play(t, client.Config{}, func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(80 * time.Second):
				return accepted(r)
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		if _, err := c.Send(t.Context(), anID, protocol.Tag{}, []byte("p"), 30*time.Second); err != nil {
			t.Errorf("a long wait: %v", err)
		}
	})
}

// steady sends a number of KiB, one in each time.
type steady struct {
	each time.Duration
	left int
	ctx  context.Context
}

func (s *steady) Read(b []byte) (int, error) {
	if s.left--; s.left < 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(s.each):
		return min(len(b), 1<<10), nil
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
}

func (s *steady) Close() error { return nil }

// speak accepts connections and writes the same to each after the first bytes arrived.
// Then it holds them open.
func speak(t *testing.T, text string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go func() {
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					_, _ = io.WriteString(conn, text)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestOtherServers: what answers at the address is distinguished over real connections.
func TestOtherServers(t *testing.T) {
	page := func(status int, media, body string) string {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
	}
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = discard
	secure.StartTLS()
	t.Cleanup(secure.Close)
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
	for name, tt := range map[string]struct {
		base string
		want string
	}{
		"TLS, asked in plain HTTP":   {strings.Replace(secure.URL, "https", "http", 1), "this port speaks TLS"},
		"a TLS alert":                {speak(t, "\x15\x03\x01\x00\x02\x02\x16"), "this port speaks TLS"},
		"plain HTTP, asked in TLS":   {strings.Replace(page(200, "text/html", ""), "http", "https", 1), "server gave HTTP response to HTTPS client"},
		"another protocol":           {speak(t, "SSH-2.0-OpenSSH\r\n"), "it does not speak HTTP"},
		"an HTML page":               {page(200, "text/html", "<html>"), "it sent an HTML page (status 200)"},
		"an HTML page for no page":   {page(404, "text/html; charset=utf-8", "<html>"), "answered with an HTML page (status 404)"},
		"JSON of another API":        {page(200, "application/json", `{"message":"hello"}`), "does not have the expected form"},
		"a refusal of another API":   {page(404, "application/json", `{"message":"no"}`), "answered with JSON of another API (status 404)"},
		"a proxy without its server": {page(502, "text/html", "<html>"), "an HTML page (status 502)"},
		"a hung server":              {speak(t, ""), "sent no answer within 500ms"},
		"half an answer":             {speak(t, head+`{"claims":[`), "sends its answer too slowly"},
		"half a head":                {speak(t, "HTTP/1.1 200 OK\r\n"), "sent no answer within 500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := client.New(tt.base, client.Config{Timeout: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Claims(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

var discard = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
