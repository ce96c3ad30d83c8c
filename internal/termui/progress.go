package termui

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Modes returns how progress can be shown. The first one, the default, redraws
// one line on a terminal and is plain elsewhere.
func Modes() []string { return []string{"auto", "plain", "json", "none"} }

// Pauses between two reports of progress.
const (
	redrawPause = 100 * time.Millisecond
	plainPause  = 10 * time.Second
	jsonPause   = time.Second
)

// Progress shows how far a long command is. Lines of other kinds go through
// [Progress.Print], so that they do not break into the redrawn one. Its methods
// may be called concurrently.
type Progress struct {
	w     io.Writer
	mode  string // redraw, plain, json, none
	stage string
	start time.Time

	mu       sync.Mutex
	total    int // 0: not known
	done     int
	shown    time.Time // when it was shown last
	lastDone int       // done, when it was shown last
	quarter  int       // of total, when it was shown last
	drawn    bool      // a redrawn line stands on the terminal
}

// NewProgress starts at now, with an unknown total. The mode is one of [Modes];
// the stage begins every line.
func NewProgress(w io.Writer, mode, stage string, now time.Time) *Progress {
	if mode == "auto" {
		mode = "plain"
		if IsTerminal(w) && os.Getenv("TERM") != "dumb" {
			mode = "redraw"
		}
	}
	return &Progress{w: w, mode: mode, stage: stage, start: now, shown: now}
}

// Expect sets the total.
func (p *Progress) Expect(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

// Step counts one more and shows it if a pause has passed or a quarter of the
// total was completed.
func (p *Progress) Step(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.due(now) {
		p.show(now)
	}
}

func (p *Progress) due(now time.Time) bool {
	since, quarter := now.Sub(p.shown), p.quarterDone() > p.quarter
	switch p.mode {
	case "redraw":
		return since >= redrawPause || quarter
	case "plain":
		return since >= plainPause || quarter
	case "json":
		return since >= jsonPause || quarter
	}
	return false
}

func (p *Progress) quarterDone() int {
	if p.total == 0 {
		return 0
	}
	return 4 * p.done / p.total
}

func (p *Progress) show(now time.Time) {
	p.shown, p.quarter, p.lastDone = now, p.quarterDone(), p.done
	switch p.mode {
	case "redraw":
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.text(now))
		p.drawn = true
	case "plain":
		fmt.Fprintln(p.w, p.text(now))
	case "json":
		_ = json.NewEncoder(p.w).Encode(struct {
			Stage string `json:"stage"`
			Done  int    `json:"done"`
			Total int    `json:"total,omitempty"`
			ETA   int64  `json:"eta_ms,omitempty"`
		}{p.stage, p.done, p.total, p.eta(now).Milliseconds()})
	}
}

func (p *Progress) text(now time.Time) string {
	if p.total == 0 {
		return fmt.Sprintf("%s: %d done", p.stage, p.done)
	}
	s := fmt.Sprintf("%s: %d of %d (%d%%)", p.stage, p.done, p.total, 100*p.done/p.total)
	if left := p.eta(now).Round(time.Second); left > 0 {
		s += fmt.Sprintf(", about %s left", left)
	}
	return s
}

// eta returns how long the rest takes at the pace so far, 0 if that is unknown.
func (p *Progress) eta(now time.Time) time.Duration {
	if p.done == 0 || p.total <= p.done {
		return 0
	}
	return now.Sub(p.start) / time.Duration(p.done) * time.Duration(p.total-p.done)
}

// Print removes the redrawn line, if there is one, and calls f, which writes.
func (p *Progress) Print(f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	return f()
}

// Finish removes the redrawn line. In mode json it writes the last number first, so that
// every reader of the stream receives it.
func (p *Progress) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == "json" && p.lastDone != p.done {
		p.show(p.shown)
	}
	p.erase()
}

func (p *Progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
