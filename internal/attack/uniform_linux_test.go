package attack_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"math"
	mathrand "math/rand/v2"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

const (
	mostT     = 4.5 // |t| of two kinds that take the same time
	cropAbove = 0.5 // quantile of all samples above which they are dropped
	pendingOf = 16  // requests of each kind that has some
	warmUp    = 200 // answers to each kind that are not counted
)

// kind is one kind of answer that is refused as submission_rejected.
type kind struct {
	name     string
	requests [][]byte // sent in turn
	took     []float64
	answer   []byte // the whole answer to the first request
}

// issued is an open request.
type issued struct {
	id  protocol.RequestID
	tag protocol.Tag
}

// newKind returns a kind that answers each of some requests, with the same proof.
func newKind(name string, to []issued, proof []byte) *kind {
	k := &kind{name: name}
	for _, r := range to {
		k.requests = append(k.requests, answerRequest(r.id, r.tag, proof))
	}
	return k
}

// uniformity compares the kinds of answers that a client must not be able to tell apart.
func (p *part) uniformity() {
	servers, own, two := processors()
	if !two {
		p.Log("there is only one processor, which the server and the clients share")
	}
	s, kinds := p.kinds(p.Context(), servers)
	// The control differs from a wrong tag only in what the server has to read.
	control := &kind{name: "control"}
	for _, r := range kinds[1].requests {
		control.requests = append(control.requests, bytes.Replace(r, []byte("\r\n"), []byte("\r\nX-Padding: "+strings.Repeat("x", 8192)+"\r\n"), 1))
	}
	p.keepTo(own)
	p.measure(func() {
		for _, k := range append(kinds, control) {
			k.took = nil
		}
		p.must(sample(s.address, append(kinds, control), p.samples/2))
		p.compare(kinds, control)
	})
}

// compare checks that the kinds have the same answers and times, and that the control has
// not.
func (p *part) compare(kinds []*kind, control *kind) {
	p.Helper()
	limit := crop(append(kinds, control))
	p.figures["samples_of_a_kind"], p.figures["cropped_above_us"] = len(kinds[0].took), round(limit)
	ts := map[string]float64{}
	for i, a := range kinds {
		p.figures[a.name+"_p50_us"] = round(quantile(slices.Clone(a.took), 0.5))
		for _, b := range kinds[i+1:] {
			if !bytes.Equal(normal(a.answer), normal(b.answer)) {
				p.fail("the answers to %s and %s differ:\n%s\n%s", a.name, b.name, a.answer, b.answer)
			}
			t := welch(a.below(limit), b.below(limit))
			ts[a.name+", "+b.name] = round(t)
			if math.Abs(t) >= mostT {
				p.fail("%s and %s differ in time: t is %.2f", a.name, b.name, t)
			}
		}
	}
	p.figures["t"] = ts
	t := welch(kinds[1].below(limit), control.below(limit))
	p.figures["t_control"] = round(t)
	if math.Abs(t) < mostT {
		p.fail("the control was not detected: t is %.2f", t)
	}
}

// kinds returns a server and the kinds of answers to it.
func (p *part) kinds(ctx context.Context, processor int) (*server, []*kind) {
	p.Helper()
	before := p.serve(processor, "--prover", "none")
	former := p.pending(ctx, before.Client)
	p.must(before.Stop())
	s := p.serveFrom(before.data, processor, "--prover", "none")
	ended := p.pending(ctx, s.Client)
	_, err := s.admin(ctx, "rotate", "--now", "--yes", "--reason", "attack")
	p.must(err)
	id, token, err := s.addClient(ctx, "other")
	p.must(err)
	other, err := client.New("http://"+s.address, client.Config{Retries: -1, Token: token, ClientID: id})
	p.must(err)
	others, wrong := p.pending(ctx, other), p.pending(ctx, s.Client)
	unknown := slices.Clone(wrong)
	for i := range wrong {
		ended[i].tag = wrong[i].tag
		_, _ = rand.Read(unknown[i].id[:]) // never fails
		_, _ = rand.Read(wrong[i].tag[:])
	}
	proof := make([]byte, protocol.ProofSize)
	_, _ = rand.Read(proof)
	return s, []*kind{
		newKind("unknown id", unknown, proof), newKind("wrong tag", wrong, proof), newKind("wrong client", others, proof),
		newKind("foreign epoch", ended, proof), newKind("former server", former, proof),
	}
}

// pending opens some requests.
func (p *part) pending(ctx context.Context, c *client.Client) (all []issued) {
	p.Helper()
	for range pendingOf {
		ch, err := c.Challenge(ctx, api.ChallengeRequest{Claim: "open/1", Params: []byte(`{}`), Commitment: randomCommitment(), TTLMillis: protocol.MaxTTL})
		p.must(err)
		all = append(all, issued{ch.RequestID, ch.Tag})
	}
	return all
}

// sample sends n answers of each kind in random order over one connection.
func sample(address string, kinds []*kind, n int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := dialRaw(address)
	if err != nil {
		return err
	}
	defer c.close()
	order := make([]*kind, 0, len(kinds)*n)
	for _, k := range kinds {
		for i := range warmUp {
			answer, _, err := c.do(k.requests[i%len(k.requests)])
			if err != nil {
				return err
			}
			k.answer = bytes.Clone(answer)
		}
		order = append(order, slices.Repeat([]*kind{k}, n)...)
	}
	mathrand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, k := range order {
		_, took, err := c.do(k.requests[len(k.took)%len(k.requests)])
		if err != nil {
			return err
		}
		k.took = append(k.took, float64(took)/float64(time.Microsecond))
	}
	return nil
}

// normal replaces what may differ between two answers: the time and the request id.
func normal(answer []byte) []byte {
	answer = date.ReplaceAll(answer, []byte("Date: "))
	return requestID.ReplaceAll(answer, []byte("${1}ID"))
}

var (
	date      = regexp.MustCompile(`Date: [^\r\n]*`)
	requestID = regexp.MustCompile(`(?i)(request[-_]id"?: ?"?)[^"\r\n]*`)
)

// crop returns the time above which samples are dropped.
func crop(kinds []*kind) float64 {
	var all []float64
	for _, k := range kinds {
		all = append(all, k.took...)
	}
	return quantile(all, cropAbove)
}

func (k *kind) below(limit float64) []float64 {
	return slices.DeleteFunc(slices.Clone(k.took), func(v float64) bool { return v > limit })
}

// welch returns Welch's t of two samples.
func welch(a, b []float64) float64 {
	meanA, varianceA := moments(a)
	meanB, varianceB := moments(b)
	return (meanA - meanB) / math.Sqrt(varianceA/float64(len(a))+varianceB/float64(len(b)))
}

func moments(all []float64) (mean, variance float64) {
	for _, v := range all {
		mean += v
	}
	mean /= float64(len(all))
	for _, v := range all {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(all)-1)
}

// rawConn is a connection without the poller of the Go runtime, which would add noise.
type rawConn struct {
	fd  int
	buf [8192]byte
}

func dialRaw(address string) (*rawConn, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	peer := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	c := &rawConn{}
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}),
		unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.Connect(c.fd, peer),
	)
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *rawConn) close() { _ = unix.Close(c.fd) } // nothing is sent any more

// do sends a request and returns its whole answer, valid until the next one, and how long
// it took.
func (c *rawConn) do(request []byte) (answer []byte, took time.Duration, err error) {
	began := time.Now()
	if _, err := unix.Write(c.fd, request); err != nil {
		return nil, 0, err
	}
	for n := 0; n < len(c.buf); {
		got, err := unix.Read(c.fd, c.buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || got == 0 {
			return nil, 0, errors.Join(errors.New("the connection was closed"), err)
		}
		if n += got; whole(c.buf[:n]) {
			return c.buf[:n], time.Since(began), nil
		}
	}
	return nil, 0, errors.New("the answer is too long")
}

// whole reports whether an answer with a length is complete.
func whole(b []byte) bool {
	head, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	_, after, _ := bytes.Cut(head, []byte("Content-Length: "))
	digits, _, _ := bytes.Cut(after, []byte("\r"))
	n, err := strconv.Atoi(string(digits))
	return err == nil && len(body) >= n
}
