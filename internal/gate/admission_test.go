package gate_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/protocol"
)

var stranger = limit.Payer{Key: 1}

// TestBusyConsumesNothing: an answer or a request that gets no place in time is refused
// as overloaded, and nothing has changed. What needs no place is answered meanwhile.
func TestBusyConsumesNothing(t *testing.T) {
	var past atomic.Int64
	s := newServicesWith(t, func(c *gate.Config) {
		c.VerifyWorkers = 1
		c.Now = func() time.Time { return time.Now().Add(time.Duration(past.Load())) }
	})
	first, second := s.proved(), s.proved()
	entered, let := make(chan struct{}), make(chan struct{})
	s.set(func() { s.faults["redeem"] = &fault{hook: func() { close(entered); <-let }} })
	var calls sync.WaitGroup
	calls.Go(func() {
		if _, err := s.accept(first.answer); err != nil {
			t.Error(err)
		}
	})
	<-entered
	issuing := make(chan struct{})
	for key := range uint64(2) { // the reserve
		s.set(func() { s.faults["issue"] = &fault{hook: func() { issuing <- struct{}{}; <-let }} })
		calls.Go(func() {
			if _, err := s.openBy(limit.Payer{Key: 2 + key}); err != nil {
				t.Error(err)
			}
		})
		<-issuing
	}
	late := make(chan error, 2)
	second.answer.By = stranger
	go func() { _, err := s.accept(second.answer); late <- err }()
	go func() {
		_, err := s.openBy(stranger)
		late <- err
	}()
	wrong := second.answer
	wrong.Tag[0] ^= 1
	_, err := s.accept(wrong)
	wantCode(t, "a wrong tag while the places are taken", err, protocol.CodeSubmissionRejected)
	for s.gate.Waiting() < 2 {
		runtime.Gosched()
	}
	past.Store(int64(150 * time.Millisecond)) // longer than both may wait
	close(let)
	calls.Wait()
	for range 2 {
		wantCode(t, "without a place", <-late, protocol.CodeOverloaded)
	}
	if _, err := s.accept(second.answer); err != nil {
		t.Errorf("the same answer again: %v", err)
	}
	s.check()
}

// TestFullQueue: when as many wait for a place as may, the next one is refused at once.
func TestFullQueue(t *testing.T) {
	s := newServicesWith(t, func(c *gate.Config) { c.VerifyWorkers = 1 })
	first := s.proved()
	held, let := make(chan struct{}), make(chan struct{})
	var calls sync.WaitGroup
	hold := func(call string, do func() error) {
		s.set(func() { s.faults[call] = &fault{hook: func() { held <- struct{}{}; <-let }} })
		calls.Go(func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		})
		<-held
	}
	open := func(by limit.Payer) func() error {
		return func() error { _, err := s.openBy(by); return err }
	}
	hold("redeem", func() error { _, err := s.accept(first.answer); return err })
	hold("issue", open(limit.Payer{Key: 2}))
	hold("issue", open(limit.Payer{Key: 3}))
	for key := range uint64(64) {
		calls.Go(func() {
			if err := open(limit.Payer{Key: 4 + key, Local: true})(); err != nil {
				t.Error(err)
			}
		})
	}
	for s.gate.Waiting() < 64 {
		runtime.Gosched()
	}
	wantCode(t, "one more", open(limit.Payer{Key: 99, Local: true})(), protocol.CodeOverloaded)
	close(let)
	calls.Wait()
	s.check()
}

// TestSecondAnswerLeavesItsPlace: an answer that waits for the outcome of another one holds
// no place meanwhile.
func TestSecondAnswerLeavesItsPlace(t *testing.T) {
	s := newServicesWith(t, func(c *gate.Config) { c.VerifyWorkers = 2 })
	first, other := s.proved(), s.proved()
	entered, let := make(chan struct{}), make(chan struct{})
	s.set(func() { s.faults["redeem"] = &fault{hook: func() { close(entered); <-let }} })
	var calls sync.WaitGroup
	same := func() {
		if _, err := s.accept(first.answer); err != nil {
			t.Error(err)
		}
	}
	calls.Go(same)
	<-entered
	calls.Go(same)
	if _, err := s.accept(other.answer); err != nil {
		t.Errorf("another answer beside two for one request: %v", err)
	}
	close(let)
	calls.Wait()
	s.check()
}

// TestPaced: more challenges than can be verified are refused with a time, as is what would
// be refused before its body is read. A local client that answers none is not paced.
func TestPaced(t *testing.T) {
	at := time.Now() // all happens in one moment: no capacity comes back, however slow the machine
	s := newServicesWith(t, func(c *gate.Config) { c.VerifyWorkers, c.Now = 1, func() time.Time { return at } })
	for range 30 {
		if _, err := s.openBy(limit.Payer{Key: 2, Local: true}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for range 60 {
		if _, err = s.openBy(stranger); err != nil {
			break
		}
	}
	wantCode(t, "60 challenges at once", err, protocol.CodeOverloaded)
	var later interface{ RetryAfter() time.Duration }
	if !errors.As(err, &later) || later.RetryAfter() < time.Second {
		t.Errorf("the refusal %v names no time", err)
	}
	wantCode(t, "before the body", s.gate.Busy(stranger), protocol.CodeOverloaded)
	if err := s.gate.Busy(limit.Payer{Key: 2, Local: true}); err != nil {
		t.Errorf("local: %v", err)
	}
}

// TestCrowded: a client that lets its challenges lapse can take half of the hundred places
// for pending requests. Then it is refused, and others are not.
func TestCrowded(t *testing.T) {
	var past atomic.Int64
	s := newServicesWith(t, func(c *gate.Config) {
		c.VerifyWorkers = 1
		c.Now = func() time.Time { return time.Now().Add(time.Duration(past.Load())) }
	})
	open := func(by limit.Payer) error {
		past.Add(int64(100 * time.Millisecond)) // so that nothing is paced
		_, err := s.openBy(by)
		return err
	}
	for i := range 50 {
		if err := open(stranger); err != nil {
			t.Fatal(i, err)
		}
	}
	wantCode(t, "beyond half of the places", open(stranger), protocol.CodeOverloaded)
	if err := open(limit.Payer{Key: 3}); err != nil {
		t.Errorf("another client: %v", err)
	}
}
