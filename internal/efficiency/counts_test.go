package efficiency_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/protocol"
)

var update = flag.Bool("update", false, "write testdata/counts.golden")

// columns are what is counted of an event.
var columns = []string{
	"tagger frames", "signer frames", "ML-DSA signatures", "Ed25519 signatures", "HMACs",
	"proof verifications", "journal transactions",
}

// TestCounts: each event costs what testdata/counts.golden says. An acceptance that is
// alone is the most expensive one: answers that come together share the root, the
// transaction and the checkpoint.
func TestCounts(t *testing.T) {
	c := newCore(t)
	var table strings.Builder
	for _, name := range columns {
		fmt.Fprintf(&table, "%22s", name)
	}
	table.WriteString("\n")
	event := func(name string, do func()) {
		t.Helper()
		c.take()
		do()
		row := c.take()
		for _, column := range columns {
			fmt.Fprintf(&table, "%22d", row[column])
		}
		table.WriteString("  " + name + "\n")
	}

	c.take()
	var a, b, held, wrong, late *request
	event("issue", func() { a = c.issue(0) })
	answer := c.answer(a)
	event("accept, alone", func() { c.published(c.accept(answer, protocol.CodeNone)) })
	event("accept again, the same answer", func() { c.accept(answer, protocol.CodeNone) })

	b, held = c.issue(0), c.issue(0)
	first, second := c.answer(b), c.answer(held)
	c.rooted(held, 2)
	c.published(c.accept(first, protocol.CodeNone))
	event("accept, under a root that is held", func() { c.published(c.accept(second, protocol.CodeNone)) })

	wrong = c.issue(0)
	bad := c.answer(wrong)
	stolen := bad
	stolen.Tag[0] ^= 1
	event("refuse, a wrong tag", func() { c.accept(stolen, protocol.CodeSubmissionRejected) })
	stolen = bad
	stolen.Client = "another"
	event("refuse, another client", func() { c.accept(stolen, protocol.CodeSubmissionRejected) })
	bad.Proof = first.Proof
	event("reject, a false proof", func() {
		c.accept(bad, protocol.CodeProofRejected)
		c.rooted(wrong, 3)
	})

	event("issue and expire", func() {
		late = c.issue(protocol.MinTTL * time.Millisecond)
		select {
		case <-c.expired:
		case <-time.After(patience):
			t.Fatal("the request does not expire")
		}
	})
	event("refuse, expired", func() { c.accept(c.answer(late), protocol.CodeExpired) })

	compare(t, "testdata/counts.golden", table.String())
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("an event costs more or less than %s says; if that is meant, run this test with -update. Got:\n%s\nwant:\n%s", file, got, want)
	}
}
