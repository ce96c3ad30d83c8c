package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

// attackIssue asks for requests and abandons them, as many as an epoch issues in
// the full run, then has the server stopped or killed.
func (s *siege) attackIssue() {
	numbers, ttl := map[string]int{"stopped in order": 1 << 12, "killed": 1 << 12}, "5000"
	if os.Getenv("TD_ATTACKS_FULL") != "" {
		numbers = map[string]int{"stopped in order": 1 << 20, "killed": 1 << 16}
		ttl = "1000" // so that the requests of the whole run are never open at a time
	}
	for end, n := range numbers {
		most := int64(96<<20 + n<<8) // bytes of memory
		s.attack(fmt.Sprintf("%d requests issued and abandoned, then %s", n, end), func(a *attack) {
			data := a.TempDir()
			address := freeAddress(a.T)
			args := []string{"--listen", address, "--ttl-ms", ttl, "--prover", "none", "--log-level", "warn", "--rotation", "manual", "--max-issued", strconv.Itoa(n)}
			b := startBackend(a.T, data, args...)
			user := newVictim(a.T, "")
			got, file := user.submit(b.url)
			a.want(got, accepted)
			before := peakMemory(a, b.cmd.Process.Pid)
			issued := b.abandon(a)
			grown := peakMemory(a, b.cmd.Process.Pid) - before
			a.Logf("%d issued and answered; the core's memory grew by %d KiB", issued, grown>>10)
			if grown > most {
				a.Errorf("the core's memory grew by %d MiB", grown>>20)
			}
			a.want(user.verify(file), "valid")
			if end == "killed" {
				b.kill()
				b = startBackend(a.T, data, args...)
				a.want(first(user.submit(b.url)), accepted)
			}
			b.stop(30 * time.Second)
			a.want(user.audit("--dir", filepath.Join(data, "ledger")), "valid")
			if end == "killed" {
				issued = 0
			}
			a.closes(data, end, uint64(issued+1), uint64(n))
		})
	}
}

// closes checks the leaf that closes the first epoch. A client that left takes a
// place in the epoch also if its request was not anchored any more.
func (a *attack) closes(data, end string, least, most uint64) {
	a.Helper()
	want := protocol.CloseShutdown
	if end == "killed" {
		want, most = protocol.CloseLost, least // what the one accepted leaf shows
	}
	for _, r := range rowsOf(a.T, data) {
		if c, ok := r.leaf.Body.(*protocol.EpochClose); ok && c.Number == 1 {
			if c.Reason != want || c.Issued.Size < least || c.Issued.Size > most {
				a.Errorf("the epoch is closed as %s with %d issued, want %s with %d to %d", c.Reason, c.Issued.Size, want, least, most)
			}
			return
		}
	}
	a.Error("the first epoch is not closed")
}

// abandon asks for challenges until the epoch issues no more, and answers none.
// For every sixteen a client leaves before the answer. It returns how many
// challenges were answered.
func (b *backend) abandon(a *attack) int {
	a.Helper()
	draft, err := client.NewDraft(new(submission()), protocol.Element{})
	a.must(err)
	body, err := json.Marshal(draft.Request())
	a.must(err)
	var issued atomic.Int64
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var wg sync.WaitGroup
	deadline := time.Now().Add(40 * time.Minute)
	for range 16 {
		wg.Go(func() {
			for i := 0; b.askOnce(a, web, body, &issued); i++ {
				if time.Now().After(deadline) {
					a.Error("the epoch is not full after 40 minutes")
					return
				}
				if i%16 == 15 {
					b.askAndLeave(web, body)
				}
			}
		})
	}
	wg.Wait()
	return int(issued.Load())
}

// askOnce asks for one challenge and reports whether to go on.
func (b *backend) askOnce(a *attack, web *http.Client, body []byte, issued *atomic.Int64) (again bool) {
	res, err := web.Post(b.url+"/v1/challenges", "application/json", bytes.NewReader(body))
	if err != nil {
		a.Errorf("the server does not answer: %v", err)
		return false
	}
	defer res.Body.Close()
	answer, _ := io.ReadAll(res.Body)
	switch {
	case res.StatusCode == http.StatusCreated:
		issued.Add(1)
		return true
	case bytes.Contains(answer, []byte(`"overloaded"`)):
		time.Sleep(20 * time.Millisecond) // requests expire after a second
		return true
	case !bytes.Contains(answer, []byte(`"draining"`)):
		a.Errorf("%d %s", res.StatusCode, answer)
	}
	return false
}

func (b *backend) askAndLeave(web *http.Client, body []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/v1/challenges", bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	if res, err := web.Do(req); err == nil {
		_ = res.Body.Close()
	}
}

// peakMemory is the most memory that a process has had, in bytes.
func peakMemory(a *attack, pid int) int64 {
	a.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		a.skip("needs Linux, to read the memory of the server")
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	a.must(err)
	return kib << 10
}
