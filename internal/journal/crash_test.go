package journal_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// The variables that turn the test binary into a writer to be killed.
const (
	envWriter      = "TD_JOURNAL_WRITER"      // path of the journal
	envSynchronous = "TD_JOURNAL_SYNCHRONOUS" // level, for the control run
)

func TestMain(m *testing.M) {
	if path := os.Getenv(envWriter); path != "" {
		if err := writer(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// writer writes as fast as it can and prints each acknowledged acceptance as
// "seq leaf-request-id", one system call a line, until it is killed.
func writer(path string) error {
	cfg := journal.WithSynchronous(journal.Config{Path: path}, os.Getenv(envSynchronous))
	ctx := context.Background()
	j, err := journal.Open(ctx, cfg)
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- j.Run(ctx) }()
	epoch, vk, err := prepare(ctx, j)
	if err != nil {
		return err
	}
	for range 32 {
		go func() {
			for {
				a := acceptance(epoch, vk)
				change(a, func(p *protocol.Payload) { p.RequestID, p.Commitment = drawn16(), drawn32() })
				a.Leaf.Anchor = drawn32()
				e, err := j.Accept(ctx, time.Now(), a)
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %s\n", e.Seq, request(a))
			}
		}()
	}
	return <-failed
}

// Every process draws its own values.
func drawn32() (b [32]byte) {
	for i := 1; i < len(b); i++ {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func drawn16() [16]byte { b := drawn32(); return [16]byte(b[1:]) }

// prepare does what a start does: close the epochs that a killed process left
// open, open a new one, register a claim once.
func prepare(ctx context.Context, j *journal.Journal) (*protocol.EpochOpen, protocol.Digest, error) {
	c := &protocol.ClaimLeaf{ClaimID: "open/1", VK: make([]byte, protocol.VKSize)}
	vk := protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK)
	lost, err := j.OpenEpochs(ctx)
	if err != nil {
		return nil, vk, err
	}
	for _, e := range lost {
		body := &protocol.EpochClose{ID: e.ID, Number: e.Number, Reason: protocol.CloseLost}
		if _, err := j.Append(ctx, time.Now(), body); err != nil {
			return nil, vk, err
		}
	}
	if _, known, err := j.ClaimLeaf(ctx, vk); err != nil {
		return nil, vk, err
	} else if !known {
		if _, err := j.Append(ctx, time.Now(), c); err != nil {
			return nil, vk, err
		}
	}
	number, id, index, err := j.LastEpoch(ctx)
	if err != nil {
		return nil, vk, err
	}
	e := &protocol.EpochOpen{
		Number: number + 1, ID: drawn16(), Instance: drawn16(), CheckpointKey: drawn32(), Previous: id, PreviousIndex: index,
	}
	_, err = j.Append(ctx, time.Now(), e)
	return e, vk, err
}

// process is a running writer.
type process struct {
	cmd  *exec.Cmd
	out  io.ReadCloser
	acks chan ack // closed when its output has ended
}

type ack struct {
	seq     uint64
	request protocol.RequestID
}

func startWriter(t *testing.T, path, synchronous string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe), acks: make(chan ack, 1<<20)}
	p.cmd.Env = append(os.Environ(), envWriter+"="+path, envSynchronous+"="+synchronous)
	p.cmd.Stderr = os.Stderr
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.listen()
	return p
}

// listen passes on whole lines; one cut off by a kill was not acknowledged.
func (p *process) listen() {
	defer close(p.acks)
	r := bufio.NewReader(p.out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		seq, id, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseUint(seq, 10, 64)
		b, _ := hex.DecodeString(id)
		if err != nil || len(b) != protocol.IDSize {
			return
		}
		p.acks <- ack{n, protocol.RequestID(b)}
	}
}

// first waits for the first acknowledgement.
func (p *process) first(t *testing.T) ack {
	t.Helper()
	a, ok := <-p.acks
	if !ok {
		t.Fatal("the writer ended by itself")
	}
	return a
}

// kill ends the process without warning and gives all it acknowledged.
func (p *process) kill() (all []ack) {
	_ = p.cmd.Process.Kill()
	for a := range p.acks {
		all = append(all, a)
	}
	_ = p.cmd.Wait()
	return all
}

// missing counts the acknowledged acceptances that are not where they were
// acknowledged to be.
func missing(t *testing.T, j *journal.Journal, acks []ack) (n int) {
	t.Helper()
	for _, a := range acks {
		f, ok, err := j.Accepted(t.Context(), a.request)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || f.Seq != a.seq {
			n++
		}
	}
	return n
}

// Writers are killed while they create the journal: the next start goes on.
func TestKillAtBirth(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	for range rounds {
		path := filepath.Join(t.TempDir(), "journal.db")
		p := startWriter(t, path, "")
		for { // the file appears, then the random moment
			if _, err := os.Stat(path); err == nil {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(rand.N(15 * time.Millisecond))
		acks := p.kill()
		j, err := journal.Open(t.Context(), journal.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if n := missing(t, j, acks); n != 0 {
			t.Errorf("%d of %d acknowledged are lost", n, len(acks))
		}
		checkLog(t, j)
		closeJournal(t, j)
	}
}

// Writers under load are killed at random moments, 20 times over one journal:
// nothing acknowledged is lost, nothing is there twice, no number is missing.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	path := filepath.Join(t.TempDir(), "journal.db")
	total := 0
	for round := range rounds {
		p := startWriter(t, path, "")
		var acks []ack
		if round%4 != 0 { // each fourth one dies while it starts, the first in an empty journal
			acks = append(acks, p.first(t))
		}
		time.Sleep(rand.N(150 * time.Millisecond)) // the random moment
		acks = append(acks, p.kill()...)
		j, err := journal.Open(t.Context(), journal.Config{Path: path})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if n := missing(t, j, acks); n != 0 {
			t.Errorf("round %d: %d of %d acknowledged are lost", round, n, len(acks))
		}
		total += len(acks)
		if round == rounds-1 {
			size := len(checkLog(t, j))
			t.Logf("%d kills, %d acknowledged, %d leaves", rounds, total, size)
		}
		closeJournal(t, j)
	}
}
