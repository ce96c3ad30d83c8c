package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// cutPower cuts the power of a server and a client on the same disk. Each
// server starts on the disk that the cut before left. One cut in eight happens
// during the start, before any client runs.
func (r *run) cutPower(t *testing.T, rng *rand.Rand) {
	t.Helper()
	var c *commandClient
	newWorld := func() *world {
		w := r.newWorld(t, rng, true, "--prover", "none", "--listen", freeAddress(t, rng))
		c = newCommandClient(w)
		return w
	}
	r.inject(t, r.plan.powerCuts, "power cuts", newWorld, func(w *world, _ int) {
		r.injected("power cut")
		from := 0
		switch {
		case rng.IntN(8) == 0:
			if !w.start() {
				return
			}
		case !w.begin() || !c.check():
			return
		default:
			from = w.position()
			if rng.IntN(3) == 0 {
				c.submit()
			}
			w.release(t.Context(), w.prepareAll(t.Context(), 4), killWithin).Wait()
		}
		k := from + rng.IntN(w.position()-from+1)
		w.kill()
		w.seen.cutAt(k)
		c.cutAt(k)
		if err := w.disk.powerCut(k, rng.IntN(keepModes), rng); err != nil {
			t.Fatal(err)
		}
	})
}

// freeAddress returns a loopback address for all servers of a world: a client
// binds a log to the address of its server. The ports are below those that
// outgoing connections take.
func freeAddress(t *testing.T, rng *rand.Rand) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rng.IntN(10000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// commandClient is a user of "td submit" and "td trust add", with receipts and
// trust store on the disk of its world.
type commandClient struct {
	w      *world
	dir    string
	events int
	kept   []kept // what the commands reported as done, the newest last
}

// kept is the content of the disk after a command that succeeded.
type kept struct {
	at       int               // operations that the disk had completed
	receipts map[string][]byte // by file name
	recorded uint64            // size of the newest checkpoint in the trust store
}

func newCommandClient(w *world) *commandClient {
	return &commandClient{w: w, dir: filepath.Join(w.disk.mnt, "client")}
}

// submit submits one event more than the last time; the command skips those
// that have a receipt. Then it records the newest checkpoint.
func (c *commandClient) submit() {
	var input bytes.Buffer
	c.events++
	for i := range c.events {
		fmt.Fprintf(&input, "{\"submitted\":%d}\n", i)
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		c.w.must(err)
	}
	c.command(&input, "submit", "--claim", "open/1", "--out", filepath.Join(c.dir, "out"), "--progress", "none", "-")
	c.keep()
	c.command(nil, "trust", "add")
	c.keep()
	c.exactlyOnce()
}

func (c *commandClient) command(input io.Reader, args ...string) {
	ctx, stop := context.WithTimeout(c.w.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, c.w.run.binary, append(args, "--server", c.w.srv.url, "--trust", filepath.Join(c.dir, "trust"))...)
	cmd.Stdin = input
	if out, err := cmd.CombinedOutput(); err != nil {
		c.w.complain("td %s: %v: %s", args[0], err, out)
	}
}

// keep records the content of the disk after a command has reported success.
func (c *commandClient) keep() {
	k := kept{at: c.w.position(), receipts: map[string][]byte{}}
	names, err := filepath.Glob(filepath.Join(c.dir, "out", "*.receipt.json"))
	c.w.must(err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		c.w.must(err)
		k.receipts[name] = b
		c.note(b, k.at)
	}
	k.recorded, err = c.recorded()
	if err != nil {
		c.w.complain("trust store: %v", err)
	}
	c.kept = append(c.kept, k)
}

// note counts a receipt as an acknowledged answer.
func (c *commandClient) note(b []byte, at int) {
	r, err := receipt.Parse(b)
	if err != nil {
		c.w.complain("a receipt: %v", err)
		return
	}
	leaf, err := protocol.ParseLeaf(r.Leaf)
	c.w.must(err)
	body, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		c.w.complain("a receipt is of another leaf")
		return
	}
	p, err := protocol.ParsePayload(body.Payload[:])
	c.w.must(err)
	c.w.seen.note(&client.Accepted{RequestID: p.RequestID, Index: leaf.Seq}, at)
}

// recorded returns the size of the newest checkpoint in the trust store.
func (c *commandClient) recorded() (uint64, error) {
	trust, err := receipt.OpenTrust(filepath.Join(c.dir, "trust"))
	if err != nil {
		return 0, err
	}
	logs, err := trust.List()
	if err != nil || len(logs) != 1 {
		return 0, errors.Join(err, fmt.Errorf("%d logs are recorded", len(logs)))
	}
	size, _, _, err := trust.Newest(logs[0].Origin)
	return size, err
}

// cutAt forgets what was done after the power cut.
func (c *commandClient) cutAt(k int) {
	for len(c.kept) > 0 && c.kept[len(c.kept)-1].at > k {
		c.kept = c.kept[:len(c.kept)-1]
	}
	for i := range c.kept {
		c.kept[i].at = 0 // the next log of the disk begins with it
	}
}

// check requires the receipts and the trust record that the commands have
// written, and verifies each receipt with them alone.
func (c *commandClient) check() bool {
	if len(c.kept) == 0 {
		return true
	}
	last := c.kept[len(c.kept)-1]
	if size, err := c.recorded(); err != nil || size < last.recorded {
		c.w.complain("the trust store has a checkpoint of size %d, it had one of %d (%v)", size, last.recorded, err)
	}
	trust, err := receipt.OpenTrust(filepath.Join(c.dir, "trust"))
	c.w.must(err)
	for name, want := range last.receipts {
		b, err := os.ReadFile(name)
		if err != nil || string(b) != string(want) {
			c.w.complain("receipt %s is lost: %v", name, err)
			continue
		}
		r, err := receipt.Parse(b)
		c.w.must(err)
		if report := receipt.Verify(c.w.Context(), r, receipt.Options{Trust: trust}); !report.OK {
			c.w.complain("receipt %s is %s at step %s: %v", name, report.Verdict, report.FailedStep, report.Reason)
		}
	}
	return c.w.sound()
}

// exactlyOnce requires one receipt for each event, and no acceptance without
// a receipt.
func (c *commandClient) exactlyOnce() {
	rows, err := rowsOf(c.w.Context(), c.w.data)
	c.w.must(err)
	found, err := acceptedIn(rows)
	c.w.must(err)
	accepted := len(c.w.seen.foreign(found))
	if receipts := len(c.kept[len(c.kept)-1].receipts); receipts != c.events || accepted != c.events {
		c.w.complain("td submit: %d events, %d receipts, %d acceptances", c.events, receipts, accepted)
	}
}
