package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/terradourada/td/internal/ledger"
)

// service is one running part of a node.
type service struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done closes
}

// reason returns why a service ended. Call it after it has ended.
func (s *service) reason() error {
	if s.err == nil {
		return errors.New("no reason given")
	}
	return s.err
}

// services are the running parts of a node in the order in which they were started.
type services struct {
	all   []*service
	ended chan *service // the first service that ended
}

func newServices() *services { return &services{ended: make(chan *service, 1)} }

// start runs one service beside the others. The projector that has found a
// disagreement is not reported as ended: acceptance is frozen, and reading goes on
// without it.
func (s *services) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	started := &service{name: name, cancel: cancel, done: make(chan struct{})}
	s.all = append(s.all, started)
	go func() {
		defer close(started.done)
		if started.err = run(ctx); errors.Is(started.err, ledger.ErrDiverged) {
			return
		}
		select {
		case s.ended <- started:
		default: // another one was the first
		}
	}()
}

// stop stops the services one by one, the last started first, so that each finds
// the services that it needs.
func (s *services) stop() error {
	var errs []error
	for i := len(s.all) - 1; i >= 0; i-- {
		one := s.all[i]
		one.cancel()
		<-one.done
		if one.err != nil && !errors.Is(one.err, ledger.ErrDiverged) {
			errs = append(errs, fmt.Errorf("%s: %w", one.name, one.err))
		}
	}
	return errors.Join(errs...)
}
