package anomaly_test

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func markOf(kind byte, n uint64) (m telemetry.Mark) {
	binary.BigEndian.PutUint64(m[:], n*0x9e3779b97f4a7c15)
	m[15] = kind
	return m
}

func idOf(n uint64) (id protocol.RequestID) {
	binary.LittleEndian.PutUint64(id[:], n+1)
	return id
}

// answered is an answer to a request with a proof.
func answered(at time.Time, request, proof uint64, cause telemetry.Cause) telemetry.Request {
	r := telemetry.Request{At: at, Operation: "sendProof", Client: "lab", Claim: "range/1", ID: idOf(request), Mark: markOf('p', proof), Cause: cause, Answered: time.Second}
	if cause != telemetry.NoCause {
		r.Code = protocol.CodeProofRejected
	}
	return r
}

// issued is a challenge.
func issued(at time.Time, n, anchor, place uint64) telemetry.Request {
	return telemetry.Request{At: at, Operation: "openChallenge", Client: "lab", Claim: "range/1", Mark: markOf('a', anchor), Place: markOf('n', place)}
}

// TestImpossible: each impossible event is found, and nothing is found in what is unusual
// and possible.
func TestImpossible(t *testing.T) {
	t.Parallel()
	foreign := answered(noon, 3, 3, telemetry.ForeignTag)
	repeated := answered(noon, 3, 3, telemetry.RepeatedAnchor)
	for name, c := range map[string]struct {
		requests []telemetry.Request
		changes  []telemetry.Change
		want     string // kind and scope, "" for none
		says     string
	}{
		"proof under another request": {
			requests: []telemetry.Request{answered(noon, 1, 1, telemetry.NoCause), answered(noon, 2, 1, telemetry.FalseProof)},
			want:     "repeated_proof client:lab", says: "A proof of client lab came again under another request: once since 2026-11-29 12:00 UTC, expected none.",
		},
		"answer that is sent again":    {requests: []telemetry.Request{answered(noon, 1, 1, telemetry.NoCause), answered(noon, 1, 1, telemetry.NoCause)}},
		"another proof of the request": {requests: []telemetry.Request{answered(noon, 1, 1, telemetry.NoCause), answered(noon, 1, 2, telemetry.Replayed)}},
		"zeros again":                  {requests: []telemetry.Request{answered(noon, 1, 1, telemetry.MalformedProof), answered(noon, 2, 1, telemetry.MalformedProof)}},
		"proof of the day before last": {requests: []telemetry.Request{answered(noon, 1, 1, telemetry.NoCause), answered(noon.Add(25*time.Hour), 2, 1, telemetry.FalseProof)}},
		"no mark":                      {requests: []telemetry.Request{{At: noon, Operation: "sendProof", Cause: telemetry.WrongTag}, {At: noon, Operation: "sendProof", Cause: telemetry.WrongTag}}},
		"verdict that differs": {
			requests: []telemetry.Request{answered(noon, 1, 1, telemetry.FalseProof), answered(noon, 1, 1, telemetry.NoCause)},
			want:     "verdict_differs client:lab",
		},
		"verdict after a hold": {requests: []telemetry.Request{answered(noon, 1, 1, telemetry.Held), answered(noon, 1, 1, telemetry.NoCause), answered(noon, 1, 1, telemetry.NoCause)}},
		"tag of another":       {requests: []telemetry.Request{foreign}, want: "foreign_tag client:lab"},
		"anchor in journal":    {requests: []telemetry.Request{repeated}, want: "repeated_anchor client:lab"},
		"anchor again":         {requests: []telemetry.Request{issued(noon, 1, 1, 1), issued(noon, 2, 1, 2)}, want: "repeated_anchor client:lab"},
		"position again":       {requests: []telemetry.Request{issued(noon, 1, 1, 1), issued(noon, 2, 2, 1)}, want: "repeated_position client:lab"},
		"commitment again":     {requests: []telemetry.Request{issued(noon, 1, 1, 1), issued(noon, 2, 2, 2), answered(noon, 2, 2, telemetry.Replayed)}},
		"log differs":          {changes: []telemetry.Change{{At: noon, Kind: telemetry.RootsDiffer, Subject: "log", Value: 1}}, want: "roots_differ server"},
		"log diverged":         {changes: []telemetry.Change{{At: noon, Kind: telemetry.LedgerFailing, Subject: "diverged", Value: 1}}, want: "roots_differ server"},
		"log fails":            {changes: []telemetry.Change{{At: noon, Kind: telemetry.LedgerFailing, Subject: "failing", Value: 1}}},
		"clock back":           {changes: []telemetry.Change{{At: noon, Kind: telemetry.ClockStepped, Value: -2.1}}, want: "clock_back server", says: "The clock of the system ran back by 2.1 s: once"},
		"clock forward":        {changes: []telemetry.Change{{At: noon, Kind: telemetry.ClockStepped, Value: 30}, {At: noon, Kind: telemetry.ClockStepped, Value: -1.9}}},
		"keyholder":            {changes: []telemetry.Change{{At: noon, Kind: telemetry.KeyholderBreached, Subject: "signer", Value: 1}}, want: "keyholder_breach server", says: "The signer answered what was not asked"},
		"keyholder exits":      {changes: []telemetry.Change{{At: noon, Kind: telemetry.ChildDied, Subject: "signer", Value: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := anomaly.NewExact()
			for _, r := range c.requests {
				x.Request(r)
			}
			for _, e := range c.changes {
				x.Change(e)
			}
			got := ""
			for _, v := range x.Take(noon) {
				got += v.Kind + " " + v.Scope
				if !strings.Contains(v.Sentence, c.says) || v.Score < 1 || v.Runbook == "" || v.Detector != anomaly.Impossible {
					t.Errorf("%+v", v)
				}
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// TestImpossibleRecall: every one of many repeated proofs is counted while it is among the
// last 65,536, and no other answer is.
func TestImpossibleRecall(t *testing.T) {
	t.Parallel()
	x := anomaly.NewExact()
	const n, each, back = 200_000, 100, 65_000
	planted, counted := 0, 0
	count := func(at time.Time) {
		for _, v := range x.Take(at) {
			if v.Kind != "repeated_proof" {
				t.Fatal(v)
			}
			counted += int(v.Observed)
		}
	}
	at := noon
	for i := range uint64(n) {
		at = at.Add(100 * time.Millisecond)
		x.Request(issued(at, i, i, i))
		x.Request(answered(at, i, i, telemetry.NoCause))
		x.Request(answered(at, i, i, telemetry.NoCause)) // sent again
		if i%each == 0 && i > back {
			planted++
			x.Request(answered(at, n+i, i-back, telemetry.FalseProof))
		}
		if i%600 == 0 {
			count(at)
		}
	}
	count(at.Add(time.Hour))
	if counted != planted {
		t.Errorf("%d of %d repeated proofs were counted", counted, planted)
	}
}

// TestImpossibleLast: what happened shortly before the end is part of the last verdicts.
func TestImpossibleLast(t *testing.T) {
	t.Parallel()
	s := anomaly.NewSet()
	sum := 0.0
	count := func(found []anomaly.Finding) {
		for i := range found {
			if found[i].Detector == anomaly.Impossible {
				sum = found[i].Observed
			}
		}
	}
	for i := range uint64(9) {
		s.Exact().Request(answered(noon.Add(time.Duration(i)*time.Second), i, 7, telemetry.FalseProof))
		if i == 1 {
			count(s.Tick(noon.Add(time.Second), anomaly.State{}))
		}
	}
	count(s.Last(noon.Add(10 * time.Second)))
	if sum != 8 {
		t.Errorf("the last verdict is about %g events of 8", sum)
	}
}

// TestImpossibleStorm: a storm of one client is a verdict a minute, which counts all, and a
// storm of many clients is bounded, loses no event, and delays none about the server.
func TestImpossibleStorm(t *testing.T) {
	t.Parallel()
	x := anomaly.NewExact()
	sum, verdicts := 0.0, 0
	for i := range uint64(600) {
		r := answered(noon.Add(time.Duration(i)*time.Second), i, 7, telemetry.FalseProof)
		x.Request(r)
		for _, v := range x.Take(r.At) {
			sum += v.Observed
			verdicts++
		}
	}
	for _, v := range x.Take(noon.Add(time.Hour)) {
		sum += v.Observed
		verdicts++
	}
	if sum != 599 || verdicts > 11 {
		t.Errorf("%d verdicts about %g events", verdicts, sum)
	}
	for i := range uint64(5000) {
		r := answered(noon, i+1000, 7, telemetry.FalseProof)
		r.Client, r.Source = "", netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		x.Request(r)
	}
	x.Change(telemetry.Change{At: noon, Kind: telemetry.RootsDiffer, Subject: "log", Value: 1})
	sum = 0
	differ := false
	for i := range 10 {
		found := x.Take(noon.Add(time.Duration(i) * time.Minute))
		if len(found) > 256+8 {
			t.Errorf("%d verdicts at a time", len(found))
		}
		for _, v := range found {
			if v.Kind == "roots_differ" {
				differ = i == 0
				continue
			}
			sum += v.Observed
			if v.Scope == anomaly.ScopeServer && !strings.HasPrefix(v.Sentence, "A proof of an unlisted client came again") {
				t.Error(v.Sentence)
			}
		}
	}
	if sum != 5000 || !differ {
		t.Errorf("%g of 5000 events were counted, roots_differ at once: %t", sum, differ)
	}
}

// TestForeignTagIsCheap: a right tag of another client allocates nothing after the first
// event of a minute, so that the time of an answer does not show that the tag is right.
//
//nolint:paralleltest // AllocsPerRun
func TestForeignTagIsCheap(t *testing.T) {
	x := anomaly.NewExact()
	for name, from := range map[string]telemetry.Request{
		"client":  {Client: "another"},
		"network": {Source: netip.MustParseAddr("192.0.2.7")},
	} {
		from.At, from.Operation, from.Cause, from.ID, from.Claim = time.Unix(1, 0), "sendProof", telemetry.ForeignTag, protocol.RequestID{1}, "open/1"
		if n := testing.AllocsPerRun(100, func() { x.Request(from) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
