package cosign_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/receipt"
)

// TestStatuses: each outcome has the status of C2SP tlog-witness, and no answer repeats
// the request.
func TestStatuses(t *testing.T) {
	w := newWorld(t, cosign.Live)
	next := w.log.Open(nil)
	grow(w.log, 400)
	w.showNothing()
	copied := w.log.Fork(300)
	stranger := copied.Open(nil)
	body := func(r addcheckpoint.Request) string { return string(r.Encode()) }
	h := cosign.NewHandler(w.cosigner, func() time.Time { return now }, nil)
	for name, tt := range map[string]struct {
		method, path, body string
		want               int
		text               string
	}{
		"cosigned":      {"POST", "/add-checkpoint", body(addcheckpoint.Request{Old: 300, Note: w.log.Note(300, w.epoch)}), 200, "— alice.example "},
		"another size":  {"POST", "/add-checkpoint", body(addcheckpoint.Request{Old: 200, Note: w.log.Note(300, w.epoch)}), 409, "300\n"},
		"another tree":  {"POST", "/add-checkpoint", body(addcheckpoint.Request{Old: 300, Note: fork(w.log, 200, 300).Note(300, w.epoch)}), 409, "another root"},
		"no proof":      {"POST", "/add-checkpoint", body(addcheckpoint.Request{Old: 300, Note: w.log.Note(400, w.epoch)}), 422, "proof"},
		"unknown log":   {"POST", "/add-checkpoint", strings.ReplaceAll(body(addcheckpoint.Request{Old: 300, Note: w.log.Note(300, w.epoch)}), "terradourada/", "other/"), 404, "does not know"},
		"foreign key":   {"POST", "/add-checkpoint", body(addcheckpoint.Request{Old: 300, Note: copied.Note(300, stranger)}), 403, "nothing ties"},
		"away":          {"POST", "/add-checkpoint", body(addcheckpoint.Request{Old: 300, Proof: proof(t, w.log, 300, 400), Note: w.log.Note(400, next)}), 503, "could not be read"},
		"malformed":     {"POST", "/add-checkpoint", "old 1\n\nsecret words", 400, "malformed"},
		"too large":     {"POST", "/add-checkpoint", strings.Repeat("x", receipt.MaxLogSize+1<<13), 413, "too large"},
		"other method":  {"GET", "/add-checkpoint", "", 405, "POST"},
		"another path":  {"POST", "/", "", 404, "no such path"},
		"below a path":  {"POST", "/x/add-checkpoint", "", 404, "no such path"},
		"a longer path": {"POST", "/add-checkpoint/", "", 404, "no such path"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
			got, size := answer.Body.String(), answer.Header().Get("Content-Type") == "text/x.tlog.size"
			if answer.Code != tt.want || !strings.Contains(got, tt.text) || strings.Contains(got, "secret") {
				t.Errorf("%d %q, want %d %q", answer.Code, got, tt.want, tt.text)
			}
			if size != (tt.text == "300\n") {
				t.Errorf("the type of %q is %q", got, answer.Header().Get("Content-Type"))
			}
		})
	}
	if w.head() != head(w.log, 300, w.epoch) {
		t.Error("the head has moved")
	}
}

// TestBusyServer: while the bound server is being read for one new key, other new keys of
// the log wait for a later try, and the log's present key is served.
func TestBusyServer(t *testing.T) {
	w := newWorld(t, cosign.Live)
	entered, release := make(chan struct{}), make(chan struct{})
	w.cosigner.Open = func(string) (cosign.Source, error) {
		entered <- struct{}{}
		<-release
		return nil, io.ErrUnexpectedEOF
	}
	copied := w.log.Fork(300)
	stranger := copied.Open(nil)
	foreign := addcheckpoint.Request{Old: 300, Proof: proof(t, copied, 300, 301), Note: copied.Note(301, stranger)}
	first := make(chan error)
	go func() {
		_, err := w.add(foreign)
		first <- err
	}()
	<-entered
	if _, err := w.add(foreign); !errors.Is(err, cosign.ErrUnavailable) {
		t.Errorf("a second new key: %v", err)
	}
	if _, err := w.submit(w.log, 300, w.epoch); err != nil {
		t.Errorf("the present key: %v", err)
	}
	close(release)
	if err := <-first; !errors.Is(err, cosign.ErrUnavailable) {
		t.Error(err)
	}
}

// held is a source that does not verify a checkpoint before release is closed.
type held struct {
	source
	entered chan struct{} // receives each call
	release chan struct{}
}

func (h held) VerifyCheckpointSince(ctx context.Context, note []byte, since uint64) (*receipt.Checkpoint, error) {
	h.entered <- struct{}{}
	<-h.release
	return h.source.VerifyCheckpointSince(ctx, note, since)
}

// TestSlotOfShownKey: a stranger continues the public tree under a key of their own and holds
// the first slot. The key that the server shows after a crash is cosigned all the same.
func TestSlotOfShownKey(t *testing.T) {
	w := newWorld(t, cosign.Live)
	copied := w.log.Fork(300)
	stranger := copied.Open(nil)
	foreign := addcheckpoint.Request{Old: 300, Proof: proof(t, copied, 300, 301), Note: copied.Note(301, stranger)}
	after := w.log.Open(nil) // no hand-over
	w.show(w.log, after, true)
	open := w.cosigner.Open
	h := held{w.shown, make(chan struct{}), make(chan struct{})}
	w.cosigner.Open = func(string) (cosign.Source, error) { return h, nil }
	first := make(chan error)
	go func() {
		_, err := w.add(foreign)
		first <- err
	}()
	<-h.entered
	if _, err := w.add(foreign); !errors.Is(err, cosign.ErrUnavailable) {
		t.Errorf("another request of the stranger: %v", err)
	}
	w.cosigner.Open = open
	if _, err := w.submit(w.log, 301, after); err != nil {
		t.Errorf("the server's new key: %v", err)
	}
	close(h.release)
	if err := <-first; !errors.Is(err, cosign.ErrForeignKey) {
		t.Error(err)
	}
}

// TestServe: requests over a socket are answered, and the end of the context ends it.
func TestServe(t *testing.T) {
	w := newWorld(t, cosign.Live)
	url, stop := serve(t, w.cosigner)
	r := addcheckpoint.Request{Old: 300, Note: w.log.Note(300, w.epoch)}
	resp, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(string(r.Encode())))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(b), "— alice.example ") {
		t.Errorf("%s %q, %v", resp.Status, b, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := http.Post(url+"/add-checkpoint", "text/plain", nil); err == nil {
		t.Error("it answers after its end")
	}
}

// far is a listener whose first 256 connections, as many as there is room for, seem to come
// from one remote address. Later ones seem to come from another one.
type far struct {
	net.Listener
	accepted int
}

func (f *far) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f.accepted++
	host := "192.0.2.1"
	if f.accepted > 256 {
		host = "192.0.2.2"
	}
	return &farConn{c, &net.TCPAddr{IP: net.ParseIP(host)}}, nil
}

type farConn struct {
	net.Conn
	remote net.Addr
}

func (c *farConn) RemoteAddr() net.Addr { return c.remote }

// TestServeOneAddress: one address that opens as many connections as there is room leaves
// room for others.
func TestServeOneAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, cosign.Live)
	url, _ := serveAt(t, w.cosigner, &far{Listener: l})
	for range 256 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c := http.Client{Timeout: 5 * time.Second}
	resp, err := c.Get(url + "/add-checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("answered with %s", resp.Status)
	}
}

// serve runs a cosigner on loopback. stop ends it and returns what it returned.
func serve(t *testing.T, c *cosign.Cosigner) (url string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveAt(t, c, l)
}

// serveAt runs a cosigner at a listener, as serve does.
func serveAt(t *testing.T, c *cosign.Cosigner, l net.Listener) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- cosign.Serve(ctx, l, cosign.NewHandler(c, func() time.Time { return now }, nil))
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return "http://" + l.Addr().String(), stop
}
