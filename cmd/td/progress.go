package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// progressFlag adds --progress to a command.
func progressFlag(cmd *cobra.Command) *choice {
	c := &choice{value: "auto", options: []string{"auto", "plain", "json", "none"}}
	cmd.Flags().Var(c, "progress", "how progress is shown on standard error; auto redraws one line on a terminal and is plain elsewhere")
	_ = cmd.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(c.options, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// Pauses between two reports of progress.
const (
	redrawPause = 100 * time.Millisecond
	plainPause  = 10 * time.Second
	jsonPause   = time.Second
)

// progress tells on standard error how far a long command is. Lines of other
// kinds go through [progress.print], so that they do not tear the redrawn one.
// Its methods may be called concurrently.
type progress struct {
	w     io.Writer
	mode  string // redraw, plain, json, none
	stage string
	start time.Time

	mu      sync.Mutex
	total   int // 0: not known
	done    int
	shown   time.Time // when it was shown last
	told    int       // done, when it was shown last
	quarter int       // of total, when it was shown last
	drawn   bool      // a redrawn line stands on the terminal
}

// newProgress starts at now, with an unknown total.
func newProgress(w io.Writer, mode, stage string, now time.Time) *progress {
	if mode == "auto" {
		mode = "plain"
		if isTerminal(w) && os.Getenv("TERM") != "dumb" {
			mode = "redraw"
		}
	}
	return &progress{w: w, mode: mode, stage: stage, start: now, shown: now}
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// expect sets the total.
func (p *progress) expect(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

// step counts one more and shows it if it is time.
func (p *progress) step(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.due(now) {
		p.show(now)
	}
}

func (p *progress) due(now time.Time) bool {
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

func (p *progress) quarterDone() int {
	if p.total == 0 {
		return 0
	}
	return 4 * p.done / p.total
}

func (p *progress) show(now time.Time) {
	p.shown, p.quarter, p.told = now, p.quarterDone(), p.done
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

func (p *progress) text(now time.Time) string {
	if p.total == 0 {
		return fmt.Sprintf("%s: %d done", p.stage, p.done)
	}
	s := fmt.Sprintf("%s: %d of %d (%d%%)", p.stage, p.done, p.total, 100*p.done/p.total)
	if left := p.eta(now).Round(time.Second); left > 0 {
		s += fmt.Sprintf(", about %s left", left)
	}
	return s
}

// eta is how long the rest takes at the pace so far; 0 if nobody knows.
func (p *progress) eta(now time.Time) time.Duration {
	if p.done == 0 || p.total <= p.done {
		return 0
	}
	return now.Sub(p.start) / time.Duration(p.done) * time.Duration(p.total-p.done)
}

// print writes with f while no redrawn line is in the way.
func (p *progress) print(f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	return f()
}

// finish leaves the terminal as it was. A program that reads along always hears
// where it ended.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == "json" && p.told != p.done {
		p.show(p.shown)
	}
	p.erase()
}

func (p *progress) erase() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}
