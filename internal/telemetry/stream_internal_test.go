package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reader is the other end of a stream: it can stop reading, and fail.
type reader struct {
	mu    sync.Mutex
	text  bytes.Buffer
	err   error // of each write
	most  int   // bytes that a write takes before it fails
	stall chan struct{}
}

func (r *reader) Write(p []byte) (int, error) {
	if r.stall != nil {
		<-r.stall
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		n := min(r.most, len(p))
		r.text.Write(p[:n])
		return n, r.err
	}
	return r.text.Write(p)
}

func (r *reader) set(err error, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.most = err, most
}

func notice(lost int) []byte { return fmt.Appendf(nil, "lost %d\n", lost) }

// TestStreamWithoutReader: Write does not wait for a reader that has stopped; lines
// that exceed the buffer are counted, and the count is written when it reads again.
func TestStreamWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{stall: make(chan struct{})}
		s := NewStream(r, notice)
		go s.Run()
		const size, count = 1 << 10, 3 * maxUnread >> 10
		for range count {
			if n, err := s.Write([]byte(strings.Repeat("x", size-1) + "\n")); n != size || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait()
		}
		close(r.stall)
		s.Close(time.Second)
		text := r.text.String()
		kept := strings.Count(text, "x\n")
		if want := fmt.Sprintf("lost %d\n", count-kept); !strings.HasSuffix(text, want) || kept < maxUnread/size {
			t.Errorf("%d lines arrived of %d; the end is %q, want %q", kept, count, text[len(text)-20:], want)
		}
	})
}

// TestStreamThatFails: after a write that failed, in the middle of a line at
// that, the next one begins a line, and says what is missing.
func TestStreamThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		s := NewStream(r, notice)
		go s.Run()
		write := func(text string) {
			t.Helper()
			if _, err := s.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		write("one\n")
		r.set(errors.New("no space left on device"), 2)
		write("two\n")
		r.set(errors.New("broken pipe"), 0)
		write("three\nfour\n")
		r.set(nil, 0)
		write("five\n")
		s.Close(time.Second)
		if got, want := r.text.String(), "one\ntw\nfive\nlost 3\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestStreamEndsWithoutReader: the end waits for a reader, but not for ever.
func TestStreamEndsWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{stall: make(chan struct{})}
		s := NewStream(r, notice)
		go s.Run()
		_, _ = s.Write([]byte("last\n"))
		begun := time.Now()
		s.Close(time.Second)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it waited %v", took)
		}
		close(r.stall)
	})
}
