package attack_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/testdata/proctest"
	"github.com/terradourada/td/protocol"
)

const (
	floodRate   = 3000            // hostile requests a second, at most
	floodConns  = 1000            // connections of a flood
	dialers     = 32              // connections that are made at a time
	firstByte   = 2 * time.Second // that a client has for the first byte of a body
	floodWithin = 5 * time.Second
	readerConns = 500 // connections that read nothing
	mostHonest  = 1000.0
	mostFlooded = 128.0 // MiB that the core's own memory may grow under a flood
)

// sources returns the address of the i-th of many sources, nil for the usual one.
type sources func(i int) net.IP

// loopbackIPv4, manyIPv4 and manyIPv6 are sources in 127.0.0.0/8, in 10.0.0.0/8 (of 10,000
// about 700 in a network of 16 bits), and in networks of 64 bits of 2001:db8::/48.
func loopbackIPv4(i int) net.IP { return binary.BigEndian.AppendUint32(nil, 127<<24|1<<16+uint32(i)) }

func manyIPv4(i int) net.IP { return binary.BigEndian.AppendUint32(nil, 10<<24+uint32(i)*96+1) }

func manyIPv6(i int) net.IP {
	a := netip.MustParseAddr("2001:db8::1").As16()
	binary.BigEndian.PutUint16(a[6:], uint16(i))
	return a[:]
}

// flood is one kind of hostile load.
type flood struct {
	name  string
	alert string                              // rule that must fire, if any
	run   func(f *flood, ctx context.Context) // ends with ctx

	next      atomic.Int64 // number of the next request or connection
	connected atomic.Int64
	mu        sync.Mutex
	answers   map[string]int // by code; "" is success
	began     time.Time
	delivered *delivered // its alert; nil if none must fire
	address   string
	from      sources
}

// floods attacks a server over IPv4 and one over IPv6; in short, only the second.
func (p *part) floods() {
	if !p.mapAddresses() {
		p.besiege("127.0.0.1", "127.0.0.1", loopbackIPv4, p.short)
		return
	}
	if !p.short {
		p.besiege("127.0.0.1", "10.200.0.1", manyIPv4, false)
	}
	p.besiege("[::1]", "2001:db8:99::1", manyIPv6, true)
}

// besiege runs each flood against a real server, beside an honest client.
func (p *part) besiege(listen, honest string, many sources, few bool) {
	p.Helper()
	servers, own, _ := processors()
	watch := p.newAlerts()
	s := p.serve(servers, append(watch.settings(), "--listen", listen+":0")...)
	h := p.newHonest(s, honest)
	p.observe(watch, s)
	p.keepTo(own)
	all := p.floodsOn(s, few)
	if p.short {
		all = []*flood{together(all)}
	}
	for k, f := range all {
		f.from = func(i int) net.IP { return many(k*p.addresses + i%p.addresses) } // none has a past
		if few {
			f.name += ", IPv6"
		}
		p.resist(s, h, watch, f)
	}
	if bad := watch.hook.refused(); len(bad) > 0 {
		p.fail("webhooks were not right: %v", bad)
	}
	h.close()
	p.must(s.Stop())
}

// mapAddresses makes the sources addresses of this machine, in the network namespace of
// the run.
func (p *part) mapAddresses() bool {
	if os.Getenv(envNamespace) == "" {
		p.skip("floods from 10.0.0.0/8 and 2001:db8::/48", "need root, unshare and ip; the sources are in 127.0.0.0/8")
		return false
	}
	for _, route := range [][]string{{"-4", "route", "replace", "local", "10.0.0.0/8", "dev", "lo"}, {"-6", "route", "replace", "local", "2001:db8::/32", "dev", "lo"}} {
		p.must(proctest.Command("ip", route...))
	}
	return true
}

// floodsOn returns the floods of one server. Those of unknown ids are last: the rule about
// them is hidden in the first minute of an epoch, when requests of the former one are still
// answered. With few floods that minute is not over; then the rule about each network, for
// which an unknown id counts as a tenth of a wrong tag, must fire.
func (p *part) floodsOn(s *server, few bool) []*flood {
	p.Helper()
	const tags, unknown, bad, slow = "WrongTags", "UnknownRequests", "MalformedProofs", "SlowClients"
	wrong := p.wrongTags(s)
	all := []*flood{
		{name: "wrong tags from many addresses", alert: tags, run: fromEach(wrong, false)},
		{name: "slow bodies on every operation", alert: slow, run: slowBodies(min(p.slow, 500), bodyPaths...)},
	}
	halfClosed := &flood{name: "half-closed requests from many addresses", alert: "WrongTagsOfNetwork", run: fromEach(unknownIDs, true)}
	if few {
		return append(all, halfClosed)
	}
	halfClosed.alert = unknown
	all = append(all,
		&flood{name: "wrong tags from 1,000 connections", alert: tags, run: onConnections(once(wrong))},
		&flood{name: "malformed requests from 1,000 connections", alert: "MalformedRequests", run: onConnections(once(malformed))},
		&flood{name: "malformed proofs from many addresses", alert: bad, run: fromEach(shortProofs, false)},
		&flood{name: "false proofs with right tags from 1,000 connections", alert: bad, run: onConnections(garbage)},
		&flood{name: "slow readers", run: slowReaders},
	)
	for _, path := range bodyPaths {
		all = append(all, &flood{name: "slow bodies on " + path, alert: slow, run: slowBodies(p.slow, path)})
	}
	return append(all, halfClosed, &flood{name: "unknown ids from many addresses", alert: unknown, run: fromEach(unknownIDs, false)})
}

// together returns the flood that all floods are at once.
func together(all []*flood) *flood {
	var names []string
	for _, f := range all {
		names = append(names, f.name)
	}
	return &flood{name: strings.Join(names, ", "), alert: all[0].alert, run: func(f *flood, ctx context.Context) {
		each(len(all), func(i int) { all[i].run(f, ctx) })
	}}
}

// resist runs one flood and checks what it does to the server and to the honest client.
func (p *part) resist(s *server, h *honest, watch *alerts, f *flood) {
	p.Helper()
	before, err := s.memory()
	p.must(err)
	ctx, stop := context.WithTimeout(p.Context(), p.flood)
	defer stop()
	most := p.watchMemory(s)
	f.address, f.began, f.answers = s.address, time.Now(), map[string]int{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.run(f, ctx)
	}()
	delivered := make(chan error, 1)
	go func() { delivered <- p.alerted(watch, f) }()
	served := h.keepOn(ctx, p.flood/4)
	<-done
	grown := most() - before
	if err := <-delivered; err != nil {
		p.fail("%s: %v", f.name, err)
	}
	if err := watch.clears(p.Context()); err != nil {
		p.fail("%s: %v", f.name, err)
	}
	p.figures[f.name] = map[string]any{
		"alert": f.delivered, "clear_ms": time.Since(f.began.Add(p.flood)).Milliseconds(),
		"requests": f.next.Load(), "connected": f.connected.Load(), "answers": f.answers, "memory_growth_mib": round(grown),
		"honest_served": served.count, "honest_p50_ms": round(quantile(served.took, 0.5)), "honest_max_ms": round(quantile(served.took, 1)), "honest_refused": served.refused,
	}
	if served.count == 0 || len(served.refused) > 0 {
		p.fail("%s: the honest client was served %d times and refused %v", f.name, served.count, served.refused)
	}
	if slowest := quantile(served.took, 1); slowest > mostHonest {
		p.fail("%s: the slowest request of the honest client took %.0f ms", f.name, slowest)
	}
	if grown > mostFlooded {
		p.fail("%s: the core's memory grew by %.0f MiB", f.name, grown)
	}
}

// alerted waits until the alert of the flood has arrived.
func (p *part) alerted(watch *alerts, f *flood) (err error) {
	if f.alert != "" {
		seen := f.began
		if f.alert == "SlowClients" {
			seen = seen.Add(firstByte)
		}
		f.delivered, err = watch.fires(p.Context(), f.alert, f.began, seen)
	}
	return err
}

// pace waits until the next request may be sent, and returns its number. It returns false
// when the flood ends.
func (f *flood) pace(ctx context.Context) (i int, ok bool) {
	i = int(f.next.Add(1)) - 1
	wait := time.NewTimer(time.Until(f.began.Add(time.Duration(i) * time.Second / floodRate)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return i, true
	case <-ctx.Done():
		return 0, false
	}
}

func (f *flood) answered(r reply, err error) {
	code := r.code
	if err != nil {
		code = reason(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[code]++
}

// dial connects from the i-th source. The connection is closed when the flood ends.
func (f *flood) dial(ctx context.Context, i int) *conn {
	c, err := dialFrom(ctx, f.address, f.from(i))
	if err != nil {
		f.answered(reply{code: "not connected"}, nil)
		return nil
	}
	f.connected.Add(1)
	context.AfterFunc(ctx, func() { _ = c.Close() })
	return c
}

// each calls f n times at once and waits.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// turn is one attack on an open connection.
type turn func(c *conn, i int) (reply, error)

// once returns the turn that sends one request.
func once(next func(i int) []byte) turn {
	return func(c *conn, i int) (reply, error) { return c.do(next(i), floodWithin) }
}

// onConnections repeats a turn on many connections, which come from 100 addresses.
func onConnections(t turn) func(*flood, context.Context) {
	return func(f *flood, ctx context.Context) {
		each(floodConns, func(n int) {
			var c *conn
			for {
				i, ok := f.pace(ctx)
				if !ok {
					return
				}
				if c == nil || c.broken {
					if c = f.dial(ctx, n%100); c == nil {
						continue
					}
				}
				f.answered(t(c, i))
			}
		})
	}
}

// fromEach sends each request over a connection of its own from the next address. The
// connection may be half-closed after the request.
func fromEach(next func(i int) []byte, halfClose bool) func(*flood, context.Context) {
	return func(f *flood, ctx context.Context) {
		each(dialers, func(int) {
			for {
				i, ok := f.pace(ctx)
				if !ok {
					return
				}
				c := f.dial(ctx, i)
				if c == nil {
					continue
				}
				if halfClose {
					f.answered(c.doHalfClosed(next(i), floodWithin))
				} else {
					f.answered(c.do(next(i), floodWithin))
				}
				_ = c.Close()
			}
		})
	}
}

// doHalfClosed is do on a connection whose sending half is closed after the request.
func (c *conn) doHalfClosed(request []byte, within time.Duration) (r reply, err error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return r, err
	}
	if _, err := c.Write(request); err != nil {
		return r, err
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		return r, err
	}
	return c.read()
}

// wrongTags returns answers to requests that are pending, with tags that were never
// issued.
func (p *part) wrongTags(s *server) func(i int) []byte {
	p.Helper()
	open := p.pending(p.Context(), s.Client)
	return func(i int) []byte { return answerRequest(open[i%len(open)].id, randomTag(), randomProof()) }
}

// unknownIDs returns an answer to a request that never was, shortProofs one whose proof is
// too short, malformed one that is not of the protocol.
func unknownIDs(int) []byte { return answerRequest(randomID(), randomTag(), randomProof()) }

func shortProofs(int) []byte { return answerRequest(randomID(), randomTag(), randomProof()[1:]) }

func malformed(i int) []byte {
	path := "/v1/challenges/" + randomID().String() + "/proof"
	if i%2 == 0 {
		return request(http.MethodPost, path, api.MediaJSON, []byte(`{"tag":"","proof":[[[[`))
	}
	return request(http.MethodPost, path, api.MediaOctets, randomProof())
}

// garbage opens a request and answers it with its tag and bytes that are no proof.
func garbage(c *conn, _ int) (reply, error) {
	r, err := c.do(openRequest(randomCommitment(), challengeLife), floodWithin)
	if err != nil || r.status != http.StatusCreated {
		return r, err
	}
	id, tag, err := issuedOf(r.body)
	if err != nil {
		return r, err
	}
	return c.do(answerRequest(id, tag, randomProof()), floodWithin)
}

// bodyPaths are those of the operations that take a body.
var bodyPaths = []string{"/v1/verify", "/v1/events", "/v1/challenges", "/v1/challenges/00000000000000000000000000000000/proof"}

// slowBodies opens n connections for each path, from 100 addresses. One half announces two
// bytes and sends none; the other announces much and sends a byte a second. What the server
// closes is opened again.
func slowBodies(n int, paths ...string) func(*flood, context.Context) {
	return func(f *flood, ctx context.Context) {
		each(n*len(paths), func(k int) {
			length := 2
			if k/len(paths)%2 == 1 {
				length = 16 << 10
			}
			head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", paths[k%len(paths)], api.MediaJSON, length)
			for {
				if _, ok := f.pace(ctx); !ok {
					return
				}
				if c := f.dial(ctx, k%100); c != nil {
					f.answered(c.trickle(ctx, head, length > 2))
					_ = c.Close()
				}
			}
		})
	}
}

// trickle sends the head of a request, then perhaps a byte a second, until the server
// answers or closes the connection, or ctx ends.
func (c *conn) trickle(ctx context.Context, head []byte, bytes bool) (reply, error) {
	if _, err := c.Write(head); err != nil {
		return reply{}, err
	}
	if bytes {
		stop := make(chan struct{})
		defer close(stop)
		go func() {
			for every := time.NewTicker(time.Second); ; {
				select {
				case <-every.C:
					_, _ = c.Write([]byte(" ")) // the server may have closed it
				case <-stop:
					every.Stop()
					return
				}
			}
		}()
	}
	return c.read()
}

// slowReaders asks for large answers and reads none.
func slowReaders(f *flood, ctx context.Context) {
	ask := []byte("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
	each(readerConns, func(k int) {
		var c *conn
		for {
			if _, ok := f.pace(ctx); !ok {
				return
			}
			if c == nil {
				if c = f.dial(ctx, k%100); c == nil {
					continue
				}
				_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
			}
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := c.Write(ask); err != nil {
				f.answered(reply{}, err)
				_ = c.Close()
				c = nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // until it asks for more
			}
		}
	})
}

func randomTag() (t protocol.Tag)       { _, _ = rand.Read(t[:]); return t } // never fails
func randomID() (id protocol.RequestID) { _, _ = rand.Read(id[:]); return id }

func randomProof() []byte {
	b := make([]byte, protocol.ProofSize)
	_, _ = rand.Read(b) // never fails
	return b
}
