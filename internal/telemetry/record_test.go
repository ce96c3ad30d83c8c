package telemetry_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// kept keeps events.
type kept struct {
	Requests []telemetry.Request
	Changes  []telemetry.Change
}

func (k *kept) Request(r telemetry.Request) { k.Requests = append(k.Requests, r) }

func (k *kept) Change(c telemetry.Change) { k.Changes = append(k.Changes, c) }

var began = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// TestRecord: a record that is replayed has the events that were recorded.
func TestRecord(t *testing.T) {
	var b bytes.Buffer
	lost := uint64(0)
	r := telemetry.NewRecorder(&b, began, 1<<20, nil, func() uint64 { return lost }, func(err error) { t.Error(err) })
	want := kept{
		Requests: []telemetry.Request{
			{
				At: began.Add(1234567 * time.Microsecond), Operation: "sendProof", Claim: "range/1", Client: "lab", Source: netip.MustParseAddr("192.0.2.7"),
				Code: protocol.CodeSubmissionRejected, Cause: telemetry.WrongTag, Status: 403, Waited: time.Millisecond, Took: 2 * time.Millisecond,
				Received: 664, Sent: 300, ID: protocol.RequestID{1, 2}, Answered: time.Second, Verified: 3 * time.Millisecond,
				Mark: telemetry.Mark{7, 1}, Place: telemetry.Mark{0, 9},
			},
			{At: began, Operation: "none"},
		},
		Changes: []telemetry.Change{{At: began.Add(time.Second), Kind: telemetry.ChildDied, Subject: "tagger", Value: 1}},
	}
	r.Request(want.Requests[0])
	r.Change(want.Changes[0])
	lost = 17
	r.Flush(began.Add(2 * time.Second))
	r.Request(want.Requests[1])
	r.Flush(began.Add(3 * time.Second))
	var got kept
	n, err := telemetry.Replay(strings.NewReader(b.String()+`{"at_us":12,"op`), &got) // a last line that was cut off
	if err != nil || n != 17 {
		t.Error(n, err)
	}
	var twice kept
	joined := b.String() + strings.Replace(b.String(), began.Format(time.RFC3339), began.Add(time.Hour).Format(time.RFC3339), 1)
	if n, err := telemetry.Replay(strings.NewReader(joined), &twice); err != nil || n != 34 || len(twice.Requests) != 4 || !twice.Changes[1].At.Equal(began.Add(time.Hour+time.Second)) {
		t.Errorf("two records in one file: %d, %v, %+v", n, err, twice)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateApproxTime(0)); d != "" {
		t.Error(d)
	}
	for _, text := range []string{"", "{}\n", "x\n", `{"record":"other/1"}` + "\n", strings.Replace(b.String(), `"operation"`, `operation`, 1)} {
		if _, err := telemetry.Replay(strings.NewReader(text), &kept{}); err == nil {
			t.Errorf("%.40q is a record", text)
		}
	}
}

// broken fails after some bytes.
type broken struct{ left int }

var errBroken = errors.New("no space left on device")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

// TestRecordEnds: a record that is full, or cannot be written, ends once and stays what it
// is.
func TestRecordEnds(t *testing.T) {
	var b bytes.Buffer
	none := func() uint64 { return 0 }
	var ends []error
	end := func(err error) { ends = append(ends, err) }
	r := telemetry.NewRecorder(&b, began, 1000, nil, none, end)
	for range 1000 {
		r.Request(telemetry.Request{At: began, Operation: "getTile", Client: strings.Repeat("x", 300)})
	}
	r.Flush(began)
	var got kept
	if _, err := telemetry.Replay(&b, &got); err != nil || len(got.Requests) == 0 || b.Len() > 1000 || len(ends) != 1 {
		t.Error(err, len(got.Requests), ends)
	}
	ends = nil
	r = telemetry.NewRecorder(&broken{100}, began, 1<<20, nil, none, end)
	for range 3 {
		r.Request(telemetry.Request{At: began, Operation: "getTile"})
		r.Flush(began)
	}
	if len(ends) != 1 || !errors.Is(ends[0], errBroken) {
		t.Error(ends)
	}
}

// TestRecordIsPrivate: with pseudonyms a record holds no address.
func TestRecordIsPrivate(t *testing.T) {
	var b bytes.Buffer
	private := telemetry.NewPseudonyms()
	r := telemetry.NewRecorder(&b, began, 1<<20, private, func() uint64 { return 0 }, func(err error) { t.Error(err) })
	source := netip.MustParseAddr("192.0.2.7")
	r.Request(telemetry.Request{At: began, Operation: "getTile", Source: source})
	r.Flush(began)
	var got kept
	if _, err := telemetry.Replay(&b, &got); err != nil || got.Requests[0].Source != private.Of(source) || strings.Contains(b.String(), "192.0.2.7") {
		t.Error(err, got)
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte("{\"record\":\"terradourada-events/1\",\"began\":\"2026-11-29T15:00:00Z\"}\n{\"at_us\":1,\"operation\":\"getTile\"}\n{\"at_us\":1,\"kind\":\"child_died\"}\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = telemetry.Replay(bytes.NewReader(b), &kept{}) })
}
