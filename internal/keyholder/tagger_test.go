package keyholder_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// issue has a tagger issue a new request.
func issue(t testing.TB, tagger *keyholder.Tagger, epoch protocol.EpochID) (protocol.EncodedPayload, protocol.Tag) {
	t.Helper()
	draft := payload(epoch, 0)
	p, tag, err := tagger.Issue(t.Context(), &draft)
	if err != nil {
		t.Fatal(err)
	}
	return p, tag
}

func redeem(t testing.TB, tagger *keyholder.Tagger, p protocol.EncodedPayload, tag protocol.Tag) protocol.Redemption {
	t.Helper()
	r, err := tagger.Redeem(t.Context(), &p, tag)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func requestID(t testing.TB, p protocol.EncodedPayload) protocol.RequestID {
	t.Helper()
	parsed, err := protocol.ParseDraft(p[:])
	if err != nil {
		t.Fatal(err)
	}
	return parsed.RequestID
}

func TestTaggerIssuesAndRedeems(t *testing.T) {
	t.Parallel()
	tagger, epoch := startTagger(t, keyholder.Config{})
	for want := uint64(1); want <= 3; want++ {
		draft := payload(epoch, 0)
		p, tag, err := tagger.Issue(t.Context(), &draft)
		if err != nil {
			t.Fatal(err)
		}
		if p != edit(t, draft, func(p *protocol.Payload) { p.Seq = want }) {
			t.Errorf("the issued payload is not the draft with number %d", want)
		}
		wrong := tag
		wrong[31] ^= 1
		other := edit(t, p, func(p *protocol.Payload) { p.Policy++ })
		stranger := payload(epoch, 99)
		for _, step := range []struct {
			name    string
			payload protocol.EncodedPayload
			tag     protocol.Tag
			want    protocol.Redemption
		}{
			{"wrong tag", p, wrong, protocol.RedeemMismatch},
			{"no tag", p, protocol.Tag{}, protocol.RedeemMismatch},
			{"other payload", other, tag, protocol.RedeemMismatch},
			{"unknown request", stranger, tag, protocol.RedeemUnknown},
			{"right", p, tag, protocol.RedeemOK}, // none of the above used it up
			{"again", p, tag, protocol.RedeemUsed},
			{"wrong after use", p, wrong, protocol.RedeemMismatch},
		} {
			if got := redeem(t, tagger, step.payload, step.tag); got != step.want {
				t.Errorf("%s: %v, want %v", step.name, got, step.want)
			}
		}
	}
	if err := tagger.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestTaggerKeysAreNewEachTime(t *testing.T) {
	t.Parallel()
	a, epoch := startTagger(t, keyholder.Config{})
	b, _ := startTagger(t, keyholder.Config{})
	draft := payload(epoch, 0)
	p, tag, err := a.Issue(t.Context(), &draft)
	if err != nil {
		t.Fatal(err)
	}
	q, other, err := b.Issue(t.Context(), &draft)
	if err != nil {
		t.Fatal(err)
	}
	if p != q || tag == other {
		t.Error("two taggers give one payload the same tag, or number it differently")
	}
	if got := redeem(t, b, p, tag); got != protocol.RedeemMismatch {
		t.Errorf("the tag of another tagger: %v", got)
	}
}

func TestTaggerRefusals(t *testing.T) {
	t.Parallel()
	tagger, epoch := startTagger(t, keyholder.Config{Capacity: 2})
	draft := payload(epoch, 0)
	p, tag, err := tagger.Issue(t.Context(), &draft)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = tagger.Issue(t.Context(), &draft)
	if protocol.CodeOf(err) != protocol.CodeConflict || !errors.Is(err, keyholder.ErrRefused) {
		t.Errorf("request id issued twice: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*protocol.Payload)
		code   protocol.Code
	}{
		"epoch":    {func(p *protocol.Payload) { p.EpochID[0] ^= 1 }, protocol.CodeInvalidated},
		"number":   {func(p *protocol.Payload) { p.EpochNumber++ }, protocol.CodeInvalidated},
		"numbered": {func(p *protocol.Payload) { p.Seq = 3 }, protocol.CodeInternal},
		"mode":     {func(p *protocol.Payload) { p.Mode = 3 }, protocol.CodeMalformedRequest},
	} {
		bad := edit(t, draft, c.change)
		if _, _, err := tagger.Issue(t.Context(), &bad); protocol.CodeOf(err) != c.code {
			t.Errorf("draft with wrong %s: %v, want %v", name, err, c.code)
		}
	}
	for name, bad := range map[string]protocol.EncodedPayload{
		"epoch":      edit(t, p, func(p *protocol.Payload) { p.EpochID[0] ^= 1 }),
		"unnumbered": draft,
	} {
		if r, err := tagger.Redeem(t.Context(), &bad, tag); err == nil {
			t.Errorf("payload with wrong %s: %v", name, r)
		}
	}
	issue(t, tagger, epoch)
	third := payload(epoch, 0)
	if _, _, err := tagger.Issue(t.Context(), &third); protocol.CodeOf(err) != protocol.CodeOverloaded {
		t.Errorf("full table: %v", err)
	}
	if got := redeem(t, tagger, p, tag); got != protocol.RedeemOK {
		t.Errorf("after the refusals: %v", got)
	}
}

func TestTaggerOneRedemptionWins(t *testing.T) {
	t.Parallel()
	tagger, epoch := startTagger(t, keyholder.Config{})
	const callers = 64
	for range 8 {
		p, tag := issue(t, tagger, epoch)
		var won, used atomic.Int32
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				switch r, err := tagger.Redeem(t.Context(), &p, tag); {
				case err != nil:
					t.Error(err)
				case r == protocol.RedeemOK:
					won.Add(1)
				case r == protocol.RedeemUsed:
					used.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || used.Load() != callers-1 {
			t.Errorf("%d ok and %d used of %d", won.Load(), used.Load(), callers)
		}
	}
}

func TestTaggerCancel(t *testing.T) {
	t.Parallel()
	tagger, epoch := startTagger(t, keyholder.Config{})
	a, tagA := issue(t, tagger, epoch)
	b, tagB := issue(t, tagger, epoch)
	c, tagC := issue(t, tagger, epoch)
	if err := tagger.Cancel(t.Context(), requestID(t, a)); err != nil {
		t.Fatal(err)
	}
	if err := tagger.Cancel(t.Context(), protocol.RequestID{0xff}); err != nil {
		t.Errorf("cancel of nothing: %v", err)
	}
	if got := redeem(t, tagger, a, tagA); got != protocol.RedeemUsed {
		t.Errorf("cancelled: %v", got)
	}
	if got := redeem(t, tagger, b, tagB); got != protocol.RedeemOK {
		t.Errorf("not cancelled: %v", got)
	}
	if err := tagger.CancelAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := redeem(t, tagger, c, tagC); got != protocol.RedeemUsed {
		t.Errorf("all cancelled: %v", got)
	}
	want := keyholder.TaggerStats{Issued: 3, Redeemed: 1, Cancelled: 2, Remembered: 3, Reused: 2}
	if got, err := tagger.Stats(t.Context()); err != nil || got != want {
		t.Errorf("Stats: %+v, %v, want %+v", got, err, want)
	}
}

// A hundred thousand pending requests fit into 32 MiB of process.
func TestTaggerMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies memory: the bound was not checked")
	}
	const pending, limit = 100_000, 32 << 10 // KiB
	tagger, epoch := startTagger(t, keyholder.Config{})
	spread(32, pending, func(int) {
		draft := payload(epoch, 0)
		if _, _, err := tagger.Issue(t.Context(), &draft); err != nil {
			t.Error(err)
		}
	})
	if s, err := tagger.Stats(t.Context()); err != nil || s.Pending != pending {
		t.Fatalf("Stats: %+v, %v", s, err)
	}
	peak := statusKiB(t, tagger.Pid(), "VmHWM")
	t.Logf("%d pending: at most %d KiB resident, now %d KiB", pending, peak, statusKiB(t, tagger.Pid(), "VmRSS"))
	if peak > limit {
		t.Errorf("%d KiB resident, at most %d allowed", peak, limit)
	}
}

// statusKiB reads a size from /proc/PID/status.
func statusKiB(t *testing.T, pid int, field string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in the status of a process", field)
	return 0
}
