package inject

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Fill passes a set more than a day of events that fill every window and every table: of all
// causes, and from more clients, networks and claims than are kept. Every ten minutes there
// are so many exchanges of each cause. It returns the time of the last tick.
func Fill(s *anomaly.Set, each int) time.Time {
	const every, ticks = 10 * time.Minute, 26 * 6
	at, n := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC), uint64(0)
	for range ticks {
		at = at.Add(every)
		for range each {
			for _, cause := range append([]telemetry.Cause{telemetry.NoCause}, telemetry.Causes()...) {
				n++
				exchange := Exchange(n, at, cause)
				for i := range exchange {
					s.Exact().Request(exchange[i])
					s.Request(exchange[i])
				}
				s.Exact().Request(exchange[1]) // the same challenge again: an impossible event of each source
			}
		}
		s.Tick(at, anomaly.State{})
	}
	return at
}

// operations of one exchange.
var exchanged = [...]string{"sendProof", "openChallenge", "pushEvent", "getLog"}

// Exchange returns the requests that a numbered stranger makes at a time, all with one cause.
// Every third stranger has an API key. No two have a network or an id in common, and no two
// requests a mark.
func Exchange(n uint64, at time.Time, cause telemetry.Cause) (all [len(exchanged)]telemetry.Request) {
	q := telemetry.Request{
		At: at, Cause: cause, Claim: fmt.Sprint("claim", n%100), ID: numbered(0, n), Source: netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n), 1}),
		Answered: time.Second, Took: time.Millisecond, Verified: time.Millisecond,
	}
	if n%3 == 0 {
		q.Client = fmt.Sprint("client", n)
	}
	if cause != telemetry.NoCause {
		q.Code = protocol.CodeSubmissionRejected
	}
	for i, operation := range exchanged {
		all[i] = q
		all[i].Operation, all[i].Mark, all[i].Place = operation, numbered(2*i+1, n), numbered(2*i+2, n)
	}
	return all
}

// numbered returns an id or a mark. No two of one kind are equal.
func numbered(kind int, n uint64) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], n*0x9e3779b97f4a7c15) // an odd factor is reversible
	b[15] = byte(kind)
	return b
}
