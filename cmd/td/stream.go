package main

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"time"
)

// maxUnread bounds, in bytes, what the server has said and nobody has read yet.
const maxUnread = 1 << 20

// stream stands between what the server says and whoever reads it, so that a
// reader who is slow, or gone, holds up nothing: Write never blocks and never
// fails. Lines that find no room, or that cannot be written, are lost and
// counted; the next lines that get through are followed by one that tells how
// many. Every Write is one or more whole lines.
type stream struct {
	to     io.Writer
	notice func(lost int) []byte // the line that tells

	wake   chan struct{} // one element when there may be something to write
	ending chan struct{} // closed by close
	done   chan struct{} // closed when run has returned

	mu     sync.Mutex // guards what follows
	unread []byte
	lost   int

	torn bool // the last write ended within a line; run's alone
}

// newStream makes a stream; it starts nothing, but see run.
func newStream(to io.Writer, notice func(lost int) []byte) *stream {
	return &stream{to: to, notice: notice, wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{})}
}

// Write takes whole lines.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	if len(s.unread)+len(p) > maxUnread {
		s.lost += lines(p)
	} else {
		s.unread = append(s.unread, p...)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// run writes until close.
func (s *stream) run() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
			s.pass()
		case <-s.ending:
			s.pass()
			return
		}
	}
}

// pass writes what there is, until there is nothing or a write fails: then the
// next line is the next attempt.
func (s *stream) pass() {
	for {
		batch, lost := s.take()
		if len(batch) == 0 && lost == 0 {
			return
		}
		all := batch
		if lost > 0 {
			all = slices.Concat(batch, s.notice(lost))
		}
		if s.torn {
			all = append([]byte("\n"), all...)
		}
		n, err := s.to.Write(all)
		s.torn = n > 0 && all[n-1] != '\n' || n == 0 && s.torn
		if err != nil {
			s.miss(lost + lines(batch[min(n, len(batch)):]))
			return
		}
	}
}

func (s *stream) take() (batch []byte, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, lost = s.unread, s.lost
	s.unread, s.lost = nil, 0
	return batch, lost
}

func (s *stream) miss(lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += lost
}

// close has what was said written, but waits no longer than lastWords for a
// reader.
func (s *stream) close() {
	close(s.ending)
	select {
	case <-s.done:
	case <-time.After(lastWords):
	}
}

func lines(p []byte) int { return bytes.Count(p, []byte("\n")) }
