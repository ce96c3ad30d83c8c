package notify

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestSignature checks the example of the Standard Webhooks specification.
func TestSignature(t *testing.T) {
	t.Parallel()
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if text := secretText(secret); text != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error(text)
	}
}

// TestAllowed: a name allows public addresses only, a network its own, and what is
// link-local only if the network names it.
func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		entries, host, address string
		want                   bool // at the port that the entries name, or 443
	}{
		{"alerts.example.org", "alerts.example.org", "203.0.113.7", true},
		{"alerts.example.org", "Alerts.Example.Org.", "2001:db8::7", true},
		{"alerts.example.org", "other.example.org", "203.0.113.7", false},
		{"alerts.example.org", "alerts.example.org", "127.0.0.1", false},
		{"alerts.example.org", "alerts.example.org", "::ffff:127.0.0.1", false},
		{"alerts.example.org", "alerts.example.org", "10.0.0.1", false},
		{"alerts.example.org", "alerts.example.org", "fd00::1", false},
		{"alerts.example.org", "alerts.example.org", "169.254.169.254", false},
		{"alerts.example.org", "alerts.example.org", "100.100.100.200", false},
		{"alerts.example.org", "alerts.example.org", "64:ff9b::7f00:1", false},
		{"alerts.example.org", "alerts.example.org", "0.0.0.0", false},
		{"10.0.0.0/8", "x.example.org", "10.1.2.3", true},
		{"10.0.0.0/8", "x.example.org", "::ffff:10.1.2.3", true},
		{"10.0.0.0/8", "x.example.org", "11.1.2.3", false},
		{"127.0.0.1", "localhost", "127.0.0.1", true},
		{"127.0.0.1", "localhost", "127.0.0.2", false},
		{"0.0.0.0/0,::/0", "x.example.org", "127.0.0.1", true},
		{"0.0.0.0/0,::/0", "x.example.org", "169.254.169.254", false},
		{"0.0.0.0/0,::/0", "x.example.org", "fe80::1", false},
		{"0.0.0.0/0,::/0", "x.example.org", "fd00:ec2::254", false},
		{"0.0.0.0/0,::/0", "x.example.org", "224.0.0.1", false},
		{"169.254.0.0/16", "x.example.org", "169.254.169.254", true},
		{"fd00:ec2::254", "x.example.org", "fd00:ec2::254", true},
		// What carries an address of IPv4 is judged by it, whatever carries it.
		{"alerts.example.org", "alerts.example.org", "64:ff9b::203.0.113.7", true},
		{"alerts.example.org", "alerts.example.org", "64:ff9b:1::203.0.113.7", true},
		{"alerts.example.org", "alerts.example.org", "64:ff9b:1::127.0.0.1", false},
		{"alerts.example.org", "alerts.example.org", "64:ff9b:1:a9fe:a9:fe00:cb00:7107", false}, // 169.254.169.254 behind a prefix of 48 bits
		{"alerts.example.org", "alerts.example.org", "2002:cb00:7107::1", true},
		{"alerts.example.org", "alerts.example.org", "2002:7f00:1::1", false},
		{"alerts.example.org", "alerts.example.org", "2002:a9fe:a9fe::", false},
		{"alerts.example.org", "alerts.example.org", "2001:0:cb00:7107:0:0:34ff:8ef8", true},
		{"alerts.example.org", "alerts.example.org", "2001:0:cb00:7107:0:0:80ff:fffe", false}, // client 127.0.0.1
		{"alerts.example.org", "alerts.example.org", "2001:0:7f00:1:0:0:34ff:8ef8", false},    // server 127.0.0.1
		{"alerts.example.org", "alerts.example.org", "::ffff:0:127.0.0.1", false},
		{"alerts.example.org", "alerts.example.org", "::127.0.0.1", false},
		{"10.0.0.0/8", "x.example.org", "64:ff9b::10.1.2.3", true},
		{"10.0.0.0/8", "x.example.org", "2002:a01:203::9", true},
		{"::/0", "x.example.org", "64:ff9b::127.0.0.1", false},
		{"::/0", "x.example.org", "2002:7f00:1::1", false},
		{"0.0.0.0/0,::/0", "x.example.org", "64:ff9b::169.254.169.254", false},
		{"0.0.0.0/0,::/0", "x.example.org", "64:ff9b:1:a9fe:a9:fe00:cb00:7107", false},
		{"64:ff9b:1:5::/64", "x.example.org", "64:ff9b:1:5::7", true}, // the operator knows
		{"::1", "localhost", "::1", true},
	} {
		a, err := ParseAllowed(strings.Split(c.entries, ","))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.address(c.host, netip.MustParseAddr(c.address), DefaultPort); got != c.want {
			t.Errorf("%s: %s at %s is %v", c.entries, c.host, c.address, got)
		}
	}
	for _, bad := range []string{
		"", "http://x", "a b", "10.0.0.0/40", "1.2.3", ".", "x..y", "x:", "x:0", "x:65536", "x:https", ":443", "[::1]", "::1:x", "fe80::1%eth0",
		"64:ff9b::/96", "2002:7f00::/24", "[2001::/32]:443", "::ffff:10.0.0.0/104",
	} {
		if _, err := ParseAllowed([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestPorts: an entry allows one port, 443 if it names none.
func TestPorts(t *testing.T) {
	t.Parallel()
	a, err := ParseAllowed([]string{"alerts.example.org", "alerts.example.org:8443", "127.0.0.1:9093", "10.0.0.0/8:8080", "[2001:db8::/32]:9443", "[::1]:9093", "fd00::7", "::ffff:192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, address string
		ports         []uint16
	}{
		{"alerts.example.org", "203.0.113.7", []uint16{443, 8443}},
		{"localhost", "127.0.0.1", []uint16{9093}},
		{"localhost", "::ffff:127.0.0.1", []uint16{9093}},
		{"localhost", "64:ff9b::127.0.0.1", []uint16{9093}},
		{"x", "10.9.9.9", []uint16{8080}},
		{"x", "2001:db8::9", []uint16{9443}},
		{"x", "::1", []uint16{9093}},
		{"x", "fd00::7", []uint16{443}},
		{"x", "192.0.2.1", []uint16{443}},
	} {
		for _, port := range []uint16{0, 22, 80, 443, 5432, 8080, 8443, 9093, 9443} {
			if got := a.address(c.host, netip.MustParseAddr(c.address), port); got != slices.Contains(c.ports, port) {
				t.Errorf("port %d of %s at %s is %v", port, c.host, c.address, got)
			}
		}
	}
}

// TestURLs: what no sink may have is refused when it is added.
func TestURLs(t *testing.T) {
	t.Parallel()
	a, err := ParseAllowed([]string{"alerts.example.org", "127.0.0.1:9093", "10.0.0.0/8:80"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://alerts.example.org/x?y=z":           true,
		"https://alerts.example.org:443/":            true,
		"https://alerts.example.org:444/":            false,
		"https://alerts.example.org:0/":              false,
		"https://alerts.example.org:66000/":          false,
		"http://alerts.example.org/":                 true, // a name, whose addresses may be those of 10.0.0.0/8
		"http://127.0.0.1:9093":                      true,
		"http://127.0.0.1:22":                        false,
		"http://127.0.0.1":                           false,
		"https://127.0.0.1":                          false,
		"http://127.0.0.2:9093":                      false,
		"http://169.254.169.254/latest":              false,
		"http://[::1]/":                              false,
		"https://user:pw@alerts.example.org/":        false,
		"https://alerts.example.org/#x":              false,
		"ftp://alerts.example.org/":                  false,
		"file:///etc/passwd":                         false,
		"https:///x":                                 false,
		"http://0x7f000001/":                         true, // a name, whose addresses are checked when it is dialled
		"https://" + strings.Repeat("a", 1100) + "/": false,
	} {
		if _, err := a.CheckURL(text); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDialChecks: a name that leads to an address which is not allowed is not dialled, and
// the answer of a lookup that is allowed is what is dialled.
func TestDialChecks(t *testing.T) {
	t.Parallel()
	a, err := ParseAllowed([]string{"alerts.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	n := &network{allowed: a, lookup: func(context.Context, string) ([]netip.Addr, error) {
		asked++
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")}, nil
	}}
	if _, err := n.dial(t.Context(), "tcp", "alerts.example.org:443"); err == nil || !strings.Contains(err.Error(), "not allowed") || asked != 1 {
		t.Errorf("%v, %d lookups", err, asked)
	}
	n.allowed, err = ParseAllowed([]string{"127.0.0.1:9093"})
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{"22", "0", "66000"} {
		if _, err := n.dial(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port)); err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("port %s: %v", port, err)
		}
	}
}

// TestResolver: names are asked of the servers that were known at the start.
func TestResolver(t *testing.T) {
	t.Parallel()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			q := b[:n]
			answer := slices.Concat(q[:2], []byte{0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0}, question(q))
			if kind := question(q); kind[len(kind)-3] == 1 { // A
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 7)
			} else {
				answer[7] = 0
			}
			_, _ = server.WriteTo(answer, from)
		}
	}()
	got, err := resolver([]string{server.LocalAddr().String()})(t.Context(), "alerts.example.org")
	if err != nil || !slices.Equal(got, []netip.Addr{netip.MustParseAddr("203.0.113.7")}) {
		t.Error(got, err)
	}
}

// question returns the question of a DNS message, without what follows it.
func question(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	return q[12 : end+5]
}

// disk is a file in memory. It fails on demand.
type disk struct {
	mu  sync.Mutex
	b   []byte
	err error
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off >= int64(len(d.b)) {
		return 0, io.EOF
	}
	n := copy(p, d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return 0, d.err
	}
	if end := int(off) + len(p); end > len(d.b) {
		d.b = append(d.b, make([]byte, end-len(d.b))...)
	}
	return copy(d.b[off:], p), nil
}

func (d *disk) Sync() error { return nil }

func openDisk(t *testing.T, d *disk) *store {
	t.Helper()
	s, err := openStore(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ids(s *store) (all []string) {
	for _, q := range s.messages {
		all = append(all, q.ID)
	}
	return all
}

// TestStore: what is stored is there again, in order. What was removed is not. A torn slot
// is free. The secret of a removed sink is overwritten.
func TestStore(t *testing.T) {
	t.Parallel()
	d := &disk{}
	s := openDisk(t, d)
	secret := bytes.Repeat([]byte{0xA7}, secretSize)
	if err := errors.Join(s.addSink(&sink{ID: "a", Kind: KindWebhook, URL: "https://x", Secret: secret}), s.addSink(&sink{ID: "b", Kind: KindWebhook})); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := s.enqueue(&queued{Sink: "a", ID: fmt.Sprint(i), Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	s.remove(s.messages[1])
	if err := errors.Join(s.enqueue(&queued{Sink: "b", ID: "4"}), s.enqueue(&queued{Sink: "b", ID: "4"})); err != nil {
		t.Fatal(err)
	}
	again := openDisk(t, d)
	if got := ids(again); !slices.Equal(got, []string{"0", "2", "3", "4"}) || len(again.sinks) != 2 || !bytes.Equal(again.sink("a").Secret, secret) {
		t.Errorf("%q, %d sinks", got, len(again.sinks))
	}
	d.b[again.messages[1].slot*slotSize+headSize+3] ^= 1 // torn
	again = openDisk(t, d)
	if got := ids(again); !slices.Equal(got, []string{"0", "3", "4"}) {
		t.Errorf("with a torn slot: %q", got)
	}
	if err := again.removeSink("a"); err != nil || again.removeSink("a") == nil {
		t.Errorf("removed: %v", err)
	}
	if bytes.Contains(d.b, []byte(base64.StdEncoding.EncodeToString(secret))) {
		t.Error("the secret of a removed sink is still on the disk")
	}
	if got := ids(openDisk(t, d)); !slices.Equal(got, []string{"4"}) {
		t.Errorf("without its sink: %q", got)
	}
}

// TestStoreIsBounded: beyond its size the oldest messages are dropped and counted, sinks
// never, and the file does not grow.
func TestStoreIsBounded(t *testing.T) {
	t.Parallel()
	d := &disk{}
	s := openDisk(t, d)
	for i := range maxSinks + 1 {
		if err := s.addSink(&sink{ID: fmt.Sprint("s", i), Kind: KindWebhook}); (err != nil) != (i == maxSinks) {
			t.Fatal(i, err)
		}
	}
	const more = 50
	for i := range slots - maxSinks + more {
		if err := s.enqueue(&queued{Sink: "s0", ID: fmt.Sprint(i), Body: make([]byte, MaxBody)}); err != nil {
			t.Fatal(err)
		}
	}
	if s.dropped["s0"] != more || s.messages[0].ID != fmt.Sprint(more) || len(d.b) > StoreSize || len(s.sinks) != maxSinks {
		t.Errorf("%d dropped, the first is %s, %d bytes", s.dropped["s0"], s.messages[0].ID, len(d.b))
	}
	d.err = errors.New("no space left on device")
	s.remove(s.messages[0])
	if err := s.enqueue(&queued{Sink: "s0", ID: "x"}); err == nil {
		t.Error("a message that was not written was acknowledged")
	}
}

// receiver is the other end of deliveries.
type receiver struct {
	mu     sync.Mutex
	status int
	got    []string // webhook-ids in order
	at     []time.Duration
	begun  time.Time
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, time.Since(r.begun))
	if r.status == 200 {
		r.got = append(r.got, q.Header.Get("Webhook-Id"))
	}
	return &http.Response{StatusCode: r.status, Body: http.NoBody, Request: q}, nil
}

func (r *receiver) set(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// seen returns what has arrived so far.
func (r *receiver) seen() *receiver {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &receiver{got: slices.Clone(r.got), at: slices.Clone(r.at)}
}

// TestRetries: pauses double up to the greatest, every message arrives once and in order,
// a redirect is a failure, and a message that is too old is given up.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{status: 302, begun: time.Now()}
		allowed, err := ParseAllowed([]string{"127.0.0.1:80"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		d := newDeliverer(ctx, &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
			allowed, openDisk(t, &disk{}), pauses{first: time.Second, most: 8 * time.Second, giveUp: time.Hour})
		a, err := d.add(KindWebhook, "http://127.0.0.1/")
		if err != nil || !strings.HasPrefix(a.Secret, "whsec_") {
			t.Fatal(a, err)
		}
		for i := range 3 {
			if err := d.notice(&message{ID: fmt.Sprint(i), Body: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(32 * time.Second)
		seconds := []int{}
		for _, at := range r.seen().at {
			seconds = append(seconds, int(at.Seconds()))
		}
		if want := []int{0, 1, 3, 7, 15, 23, 31}; !slices.Equal(seconds, want) {
			t.Errorf("attempts at %v, want %v", seconds, want)
		}
		if s := d.list()[0]; s.Waiting != 3 || s.Failed != 7 || s.LastError != "the receiver answered 302" || s.Failing == nil {
			t.Errorf("%+v", s)
		}
		r.set(200)
		time.Sleep(10 * time.Second)
		if s := d.list()[0]; !slices.Equal(r.seen().got, []string{"0", "1", "2"}) || s.Waiting != 0 || s.Delivered != 3 || s.Failing != nil {
			t.Errorf("%q, %+v", r.seen().got, s)
		}
		r.set(500)
		if err := d.notice(&message{ID: "late", Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Second)
		d.note(ctx, d.states[a.ID], false, nil)
		if s := d.list()[0]; s.Failing == nil || s.LastError == "" {
			t.Errorf("a heartbeat hides that a message waits: %+v", s)
		}
		r.set(200)
		d.heartbeat(&message{ID: "beat", Body: []byte("{}")})
		synctest.Wait()
		if s := d.list()[0]; !slices.Equal(r.seen().got[3:], []string{"beat", "late"}) || s.Waiting != 0 {
			t.Errorf("after a heartbeat: %q, %+v", r.seen().got, s)
		}
		r.set(500)
		if err := d.notice(&message{ID: "old", Body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if s := d.list()[0]; s.Waiting != 0 || s.Dropped != 1 {
			t.Errorf("too old: %+v", s)
		}
		if err := d.remove(a.ID); err != nil {
			t.Fatal(err)
		}
		cancel()
		d.wait()
	})
}

// TestHandleRefuses: bodies that make no sense are refused, and no kind of sink but two.
func TestHandleRefuses(t *testing.T) {
	t.Parallel()
	allowed, _ := ParseAllowed([]string{"127.0.0.1:80"})
	d := newDeliverer(t.Context(), http.DefaultClient, allowed, openDisk(t, &disk{}), usualPauses)
	for _, r := range []request{
		{Op: "nothing"},
		{Op: opAdd, Body: []byte(`7`)},
		{Op: opAdd, Body: []byte(`{"kind":"mail","url":"http://127.0.0.1"}`)},
		{Op: opAdd, Body: []byte(`{"kind":"webhook","url":"http://10.0.0.1"}`)},
		{Op: opRemove, Body: []byte(`{"id":"none"}`)},
		{Op: opNotice, Body: []byte(`{"id":"x"}`)},
		{Op: opTest, Body: []byte(`{"id":"x","sink":"none","body":"e30="}`)},
	} {
		if _, err := d.handle(t.Context(), &r); err == nil {
			t.Errorf("%s %s was taken", r.Op, r.Body)
		}
	}
	if err := readFrame(bytes.NewReader([]byte{0xff, 0, 0, 0}), new(answer)); !errors.Is(err, errFrame) {
		t.Errorf("a frame that is too long: %v", err)
	}
}
