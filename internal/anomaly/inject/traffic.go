// Package inject makes traffic with attacks in it, to measure detectors: what is found, by
// which detector, after what time, and what is found without an attack. Everything depends
// on a seed and can be repeated.
//
// # Parts
//
//   - [Traffic] is honest traffic of a synthetic server: daily and weekly cycles, clients of
//     very different size, and the failures that honest clients cause.
//   - [Attack] is one attack with the truth about it, and [Mixer] adds it to any traffic:
//     synthetic, or a record that telemetry.Replay reads, or an access log.
//   - [Evaluate] runs attacks against detectors.
package inject

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Traffic is honest traffic.
type Traffic struct {
	perMinute float64
	random    *rand.Rand
	clients   []client
	shares    []float64 // cumulative
	failures  []failure
}

// client is one client with an API key, or one network without.
type client struct {
	name    string
	network uint32
	claim   string
	seconds float64 // usual time to answer
	size    float64 // usual size of an answer
	tries   float64 // ratio of its failures to those of others
}

// failure is a cause that honest clients have, with its share of requests.
type failure struct {
	operation string
	cause     telemetry.Cause
	code      protocol.Code
	share     float64
}

// Claims of the synthetic server, with their shares of the clients.
var claims = []string{"open/1", "open/1", "open/1", "open/1", "open/1", "set/1", "set/1", "range/1"}

// NewTraffic returns traffic with a mean number of requests a minute. The clients are the
// same for each seed.
func NewTraffic(seed uint64, perMinute float64) *Traffic {
	t := &Traffic{perMinute: perMinute, random: repeatable(1, 1)}
	const keys, networks = 60, 600
	sum := 0.0
	for i := range keys + networks {
		c := client{network: uint32(i), claim: claims[i%len(claims)], seconds: 0.5 * math.Exp(t.random.NormFloat64()/2), tries: math.Exp(t.random.NormFloat64() / 2)}
		c.size = 700 + 100*float64(i%7)
		if i < keys {
			c.name = fmt.Sprintf("tenant-%02d", i)
		}
		t.clients = append(t.clients, c)
		sum += 1 / math.Pow(float64(i%keys+i/keys+1), 1.1) // a few clients send most
		t.shares = append(t.shares, sum)
	}
	for i := range t.shares {
		t.shares[i] /= sum
	}
	t.random = repeatable(seed, 3)
	t.failures = []failure{
		{"sendProof", telemetry.WrongTag, protocol.CodeSubmissionRejected, 0.0005},
		{"sendProof", telemetry.Late, protocol.CodeExpired, 0.01},
		{"sendProof", telemetry.Replayed, protocol.CodeAlreadyConsumed, 0.001},
		{"sendProof", telemetry.UnknownID, protocol.CodeSubmissionRejected, 0.002},
		{"sendProof", telemetry.FalseProof, protocol.CodeProofRejected, 0.0002},
		{"pushEvent", telemetry.ProverLate, protocol.CodeProverTimeout, 0.002},
		{"openChallenge", telemetry.Malformed, protocol.CodeMalformedRequest, 0.003},
		{"openChallenge", telemetry.Limited, protocol.CodeRateLimited, 0.002},
		{"getReceipt", telemetry.NotFound, protocol.CodeNotFound, 0.03},
	}
	return t
}

// operations of the synthetic server, with their shares of the requests.
var operations = []struct {
	name  string
	share float64
}{{"openChallenge", 0.36}, {"sendProof", 0.70}, {"pushEvent", 0.75}, {"getReceipt", 0.95}, {"getTile", 1}}

// Volume returns the mean number of requests of a minute.
func (t *Traffic) Volume(at time.Time) float64 {
	day := at.Sub(at.Truncate(24*time.Hour)).Hours() / 24
	volume := t.perMinute * (1 + 0.6*math.Sin(2*math.Pi*(day-0.3)))
	if w := at.Weekday(); w == time.Saturday || w == time.Sunday {
		volume *= 0.7
	}
	return volume
}

// Minute reports the requests of a minute in the order of their times.
func (t *Traffic) Minute(began time.Time, to telemetry.Observer) {
	n := Poisson(t.random, t.Volume(began))
	for i := range n {
		// One request in each equal part of the minute, at a random time within it.
		at := began.Add(time.Duration((float64(i) + t.random.Float64()) / float64(n) * float64(time.Minute)))
		to.Request(t.request(at))
	}
}

func (t *Traffic) request(at time.Time) telemetry.Request {
	c := &t.clients[t.pick()]
	q := telemetry.Request{At: at, Client: c.name, Source: address(c.network, byte(t.random.Uint32())), Claim: c.claim, Status: 200}
	r := t.random.Float64()
	for _, o := range operations {
		if q.Operation = o.name; r < o.share {
			break
		}
	}
	q.Took = time.Duration(2+3*t.random.ExpFloat64()) * time.Millisecond
	switch q.Operation {
	case "sendProof":
		q.Received = int64(c.size * (1 + 0.02*t.random.NormFloat64()))
		q.Answered = time.Duration(c.seconds * math.Exp(t.random.NormFloat64()/4) * float64(time.Second))
		q.Verified = 4 * time.Millisecond
	case "pushEvent":
		q.Took = time.Duration(400*math.Exp(t.random.NormFloat64()/5)) * time.Millisecond
	case "getTile", "getReceipt":
		q.Claim = ""
	}
	for i := range t.failures {
		if f := &t.failures[i]; f.operation == q.Operation && t.random.Float64() < f.share*c.tries {
			fail(&q, f.cause, f.code)
			break
		}
	}
	return q
}

// pick draws a client by its share.
func (t *Traffic) pick() int {
	r, low, high := t.random.Float64(), 0, len(t.shares)-1
	for low < high {
		if mid := (low + high) / 2; t.shares[mid] < r {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func fail(q *telemetry.Request, cause telemetry.Cause, code protocol.Code) {
	q.Cause, q.Code, q.Status = cause, code, 400
}

// address returns an address of a numbered network, of a range that is reserved for
// benchmarks and private use.
func address(network uint32, host byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(network >> 8), byte(network), host})
}

// repeatable returns random numbers that depend on a seed.
func repeatable(seed, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, stream)) //nolint:gosec // nothing here is secret, and a run is to be repeated
}

// Poisson draws a number with a Poisson distribution, exactly: by products of uniform
// numbers, in parts with a mean of 20 at most, whose sum has the distribution again.
func Poisson(r *rand.Rand, mean float64) (n int) {
	for ; mean > 20; mean -= 20 {
		n += poissonPart(r, 20)
	}
	return n + poissonPart(r, mean)
}

func poissonPart(r *rand.Rand, mean float64) int {
	limit, n := math.Exp(-mean), 0
	for p := r.Float64(); p > limit; p *= r.Float64() {
		n++
	}
	return n
}
