package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/fault"
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

// TestStreamNobodyReads: Write does not wait for a reader that has stopped; lines
// that exceed the buffer are counted, and the count is written when it reads again.
func TestStreamNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{stall: make(chan struct{})}
		s := newStream(r, notice)
		go s.run()
		const size, count = 1 << 10, 3 * maxUnread >> 10
		for range count {
			if n, err := s.Write([]byte(strings.Repeat("x", size-1) + "\n")); n != size || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait()
		}
		close(r.stall)
		s.close()
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
		s := newStream(r, notice)
		go s.run()
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
		s.close()
		if got, want := r.text.String(), "one\ntw\nfive\nlost 3\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestStreamEndsWithoutReader: the end waits for a reader, but not for ever.
func TestStreamEndsWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{stall: make(chan struct{})}
		s := newStream(r, notice)
		go s.run()
		_, _ = s.Write([]byte("last\n"))
		begun := time.Now()
		s.close()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it waited %v", took)
		}
		close(r.stall)
	})
}

// TestFailureAsJSON: a server that ends says so as an object.
func TestFailureAsJSON(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"serve", "--log-format", "json", "--listen", "nonsense"},
		{"serve", "--log-format", "json", "--max-lag", "0"},
		{"serve", "--log-format", "json", "--data", "/proc/nowhere", "--listen", "127.0.0.1:0"},
	} {
		var stderr bytes.Buffer
		if code := run(args, nil, &stderr, &stderr); code != fault.Config {
			t.Errorf("%q: exit code %d", args, code)
		}
		for line := range strings.Lines(stderr.String()) {
			var o struct {
				Msg, Err string
				Exit     int `json:"exit_code"`
			}
			if err := json.Unmarshal([]byte(line), &o); err != nil || o.Msg == "ended" && (o.Exit != fault.Config || o.Err == "") {
				t.Errorf("%q: %v: %s", args, err, line)
			}
		}
		if !strings.Contains(stderr.String(), `"ended"`) {
			t.Errorf("%q: %s", args, &stderr)
		}
	}
}
