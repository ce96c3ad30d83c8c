package telemetry

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxUnread bounds the bytes that are buffered for the reader of a stream.
const maxUnread = 1 << 20

// Stream buffers the lines that the server writes to standard error, so that a slow
// or missing reader cannot block the server: Write never blocks and never fails.
// Lines that exceed the buffer, or that cannot be written, are dropped and counted;
// a line with the count follows the next lines that are written. Every Write must
// be one or more whole lines.
type Stream struct {
	to     io.Writer
	notice func(lost int) []byte // returns the line with the count
	each   func(now time.Time)   // is called once a second by Run, if it is set

	wake   chan struct{} // one element when there may be something to write
	ending chan struct{} // closed by Close
	done   chan struct{} // closed when Run has returned

	allLost atomic.Uint64 // lines since the start

	mu     sync.Mutex // guards what follows
	unread []byte
	lost   int

	torn bool // the last write ended within a line; used by Run only
}

// NewStream returns a stream that writes to a writer. Nothing is written before
// [Stream.Run] is called.
func NewStream(to io.Writer, notice func(lost int) []byte) *Stream {
	return &Stream{to: to, notice: notice, wake: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{})}
}

// Write buffers whole lines, or drops them if the buffer is full.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	if len(s.unread)+len(p) > maxUnread {
		s.lost += lines(p)
		s.allLost.Add(uint64(lines(p)))
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

// Run writes what is buffered until [Stream.Close] is called.
func (s *Stream) Run() {
	defer close(s.done)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case now := <-second.C:
			if s.each != nil {
				s.each(now)
			}
		case <-s.wake:
			s.flush()
		case <-s.ending:
			s.flush()
			return
		}
	}
}

// flush writes until the buffer is empty or a write fails. After a failure the next
// line starts the next attempt.
func (s *Stream) flush() {
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
			torn := lines(batch[min(n, len(batch)):])
			s.allLost.Add(uint64(torn))
			s.countLost(lost + torn)
			return
		}
	}
}

func (s *Stream) take() (batch []byte, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, lost = s.unread, s.lost
	s.unread, s.lost = nil, 0
	return batch, lost
}

func (s *Stream) countLost(lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += lost
}

// Lost returns how many lines were dropped since the start.
func (s *Stream) Lost() uint64 { return s.allLost.Load() }

// Close waits until the buffer is written, but no longer than the patience.
func (s *Stream) Close(patience time.Duration) {
	close(s.ending)
	select {
	case <-s.done:
	case <-time.After(patience):
	}
}

func lines(p []byte) int { return bytes.Count(p, []byte("\n")) }
