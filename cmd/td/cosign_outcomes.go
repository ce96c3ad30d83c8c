package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// outcomePrinter prints the outcomes of requests that an operator of a cosigner should
// see: all cosignatures, and refusals at most once in refusalEvery.
type outcomePrinter struct {
	out io.Writer

	mu      sync.Mutex
	next    time.Time // of the next line about a refusal
	skipped int       // refusals since the last one
}

// refusalEvery is the least time between two lines about refusals, because anyone can
// cause them.
const refusalEvery = time.Second

// newHead names an accepted checkpoint by its origin and size, the first two lines.
func newHead(note string) string {
	lines := strings.SplitN(note, "\n", 3)
	return protocol.Printable(lines[0]) + " size " + protocol.Printable(lines[1])
}

func (p *outcomePrinter) print(r *addcheckpoint.Request, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		fmt.Fprintf(p.out, "td: cosigned %s, from size %d\n", newHead(r.Note), r.Old)
		return
	}
	if errors.As(err, new(*cosign.SizeError)) || errors.Is(err, cosign.ErrUnknownLog) || errors.Is(err, addcheckpoint.ErrMalformed) {
		return // of a submitter that asks for the size, or of a stranger
	}
	now := time.Now()
	if now.Before(p.next) {
		p.skipped++
		return
	}
	before := ""
	if p.skipped > 0 {
		before = fmt.Sprintf("; %s before it not printed", termui.Count(p.skipped, "refusal"))
	}
	fmt.Fprintf(p.out, "td: refused from size %d: %s%s\n", r.Old, protocol.Printable(err.Error()), before)
	p.next, p.skipped = now.Add(refusalEvery), 0
}
