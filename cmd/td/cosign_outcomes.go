package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/cosign"
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

func (p *outcomePrinter) print(r *addcheckpoint.Request, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		fmt.Fprintf(p.out, "td: cosigned from size %d\n", r.Old)
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
	fmt.Fprintf(p.out, "td: refused from size %d: %s; %d refusals before it were not printed\n", r.Old, protocol.Printable(err.Error()), p.skipped)
	p.next, p.skipped = now.Add(refusalEvery), 0
}
