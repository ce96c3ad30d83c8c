package telemetry

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/protocol"
)

// TestNames: every kind and cause has a name of its own.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if name := k.String(); name == "unknown" || seen[name] {
			t.Errorf("kind %d is named %q", k, name)
		} else {
			seen[name] = true
		}
	}
	clear(seen)
	for _, c := range Causes() {
		if name := c.String(); name == "" || seen[name] {
			t.Errorf("cause %d is named %q", c, name)
		} else {
			seen[name] = true
		}
	}
	if Kind(200).String() != "unknown" || Cause(200) != 200 || Cause(200).String() != "fault" {
		t.Error("a value outside the enumeration has a name")
	}
}

// TestCauseChangesNoAnswer: an error with a cause has the code, the detail and the text
// of the error in it; the cause nearest to the caller counts; every code has a cause.
func TestCauseChangesNoAnswer(t *testing.T) {
	plain := protocol.Fail(protocol.CodeSubmissionRejected, "the answer does not belong to a pending request")
	with := Because(WrongTag, plain)
	if protocol.CodeOf(with) != protocol.CodeOf(plain) || protocol.DetailOf(with) != protocol.DetailOf(plain) || with.Error() != plain.Error() || !errors.Is(with, protocol.CodeSubmissionRejected) {
		t.Errorf("%v differs from %v", with, plain)
	}
	if got := CauseOf(fmt.Errorf("accept: %w", with)); got != WrongTag {
		t.Error(got)
	}
	if Because(WrongTag, nil) != nil || CauseOf(nil) != NoCause || CauseOf(errors.New("x")) != Fault {
		t.Error("an error without a cause has one")
	}
	for _, code := range protocol.Codes() {
		if CauseOf(code) == NoCause {
			t.Errorf("%v has no cause", code)
		}
	}
}

// counter counts events and keeps the last.
type counter struct {
	requests, changes int
	last              Change
}

func (c *counter) Request(Request) { c.requests++ }

func (c *counter) Change(e Change) {
	c.changes++
	c.last = e
}

// TestEvents: observers are called at once, readers by Run; what the ring does not take
// is dropped for the readers and counted.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inPath, reader counter
		e := NewEvents([]Observer{&inPath}, []Observer{&reader})
		e.Change(Change{Kind: ChildDied, Subject: strings.Repeat("ä", 200)})
		for range ringSize + 9 {
			e.Request(Request{})
		}
		if inPath.requests != ringSize+9 || inPath.changes != 1 || reader.requests != 0 || e.Lost() != 10 {
			t.Errorf("in path %+v, reader %+v, lost %d", inPath, reader, e.Lost())
		}
		if inPath.last.Subject != strings.Repeat("ä", 128) {
			t.Errorf("the subject has %d bytes", len(inPath.last.Subject))
		}
		ctx := t.Context()
		go func() { _ = e.Run(ctx) }()
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if reader.requests != ringSize-1 || reader.changes != 1 {
			t.Errorf("reader %+v", reader)
		}
		e.Request(Request{})
		time.Sleep(2 * readEvery)
		synctest.Wait()
		if reader.requests != ringSize {
			t.Errorf("reader %+v after the ring was read", reader)
		}
	})
	var none *Events
	none.Request(Request{})
	none.Change(Change{})
}

// TestEventsAllocateNothing: reporting an event takes no memory.
func TestEventsAllocateNothing(t *testing.T) {
	var o counter
	e := NewEvents([]Observer{&o}, nil)
	r := Request{Operation: "sendProof", Claim: "range/1"}
	if n := testing.AllocsPerRun(100, func() { e.Request(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	e := NewEvents(nil, nil)
	r := Request{Operation: "sendProof", Claim: "range/1"}
	for b.Loop() {
		e.Request(r)
		if len(e.ring) == cap(e.ring) {
			e.Read()
		}
	}
}
