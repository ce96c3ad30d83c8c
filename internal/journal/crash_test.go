package journal_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// The environment variables that turn the test binary into a writer to be
// killed.
const (
	envWriter      = "TD_JOURNAL_WRITER"      // path of the journal
	envSynchronous = "TD_JOURNAL_SYNCHRONOUS" // level, for the control run
	envFault       = "TD_JOURNAL_FAULT"       // see failThenExit; "none" continues after a failed write
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

// writer writes as fast as it can until it is killed. It prints each
// acknowledged acceptance as "seq leaf-request-id", one system call a line.
func writer(path string) error {
	fault := os.Getenv(envFault)
	cfg := journal.WithSynchronous(journal.Config{Path: path}, os.Getenv(envSynchronous))
	if at, apply, ok := strings.Cut(fault, " "); ok {
		cfg = journal.WithFault(cfg, failThenExit(at, apply == "applied"))
	}
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
				if err != nil && fault != "" {
					fmt.Println("failed")
					time.Sleep(10 * time.Millisecond)
					continue
				}
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

// failThenExit is a fault: the 16th COMMIT reports an error, after it took
// place if apply is set, and the process exits when the journal reaches the
// operation at.
func failThenExit(at string, apply bool) func(string) (bool, error) {
	var mu sync.Mutex
	commits := 0
	return func(op string) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if commits >= 16 && op == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		if op == "commit" {
			if commits++; commits == 16 {
				return apply, errDisk
			}
		}
		return true, nil
	}
}

// Every process draws its own values.
func drawn32() (b [32]byte) {
	for i := 1; i < len(b); i++ {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func drawn16() [16]byte { b := drawn32(); return [16]byte(b[1:]) }

// prepare does what a start does: it closes the epochs that a killed process
// left open, opens a new one, and registers a claim once.
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

	failed chan struct{} // receives a value when a write has failed
}

type ack struct {
	seq     uint64
	request protocol.RequestID
}

func startWriter(t *testing.T, path, synchronous string) *process {
	t.Helper()
	return startFaulty(t, path, synchronous, "")
}

func startFaulty(t *testing.T, path, synchronous, fault string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe), acks: make(chan ack, 1<<20), failed: make(chan struct{}, 1)}
	p.cmd.Env = append(os.Environ(), envWriter+"="+path, envSynchronous+"="+synchronous, envFault+"="+fault)
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

// listen passes on whole lines; a line cut off by a kill was not acknowledged.
func (p *process) listen() {
	defer close(p.acks)
	r := bufio.NewReader(p.out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if line == "failed\n" {
			select {
			case p.failed <- struct{}{}:
			default:
			}
			continue
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

// kill kills the process and returns everything it acknowledged.
func (p *process) kill() (all []ack) {
	_ = p.cmd.Process.Kill()
	for a := range p.acks {
		all = append(all, a)
	}
	_ = p.cmd.Wait()
	return all
}

// missing counts the acknowledged acceptances that are not at the place that
// was acknowledged.
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

// Writers are killed while they create the journal; the next start continues.
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
		j, err := openFree(t, journal.Config{Path: path})
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
// no acknowledged entry is lost, none is there twice, no number is missing.
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
		if round%4 != 0 { // every fourth is killed while it starts, the first in an empty journal
			acks = append(acks, p.first(t))
		}
		time.Sleep(rand.N(150 * time.Millisecond)) // the random moment
		acks = append(acks, p.kill()...)
		j, err := openFree(t, journal.Config{Path: path})
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

// A process exits at each step between a failed COMMIT and the journal in its
// new file. No acknowledged entry is lost, nothing of the copy is left, and the
// next start can write.
func TestKillBeforeCopy(t *testing.T) {
	for _, at := range []string{"copy", "verify", "complete", "swap", "settle", "settled", "begin"} {
		for _, applied := range []string{"applied", "not"} {
			if testing.Short() && applied == "not" {
				continue // long, and no other concurrency
			}
			t.Run(at+" "+applied, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "journal.db")
				p := startFaulty(t, path, "", at+" "+applied)
				var acks []ack
				for a := range p.acks {
					acks = append(acks, a)
				}
				_ = p.cmd.Wait()
				for i := range 2 {
					if at == "swap" && i == 0 {
						torn(t, path, acks)
					}
					wantAll(t, path, acks)
				}
				if left, err := filepath.Glob(path + "?*"); err != nil || len(left) != 1 { // the lock
					t.Errorf("left behind: %v (%v)", left, err)
				}
			})
		}
	}
}

// wantAll opens a journal, finds all that was acknowledged, and writes.
func wantAll(t *testing.T, path string, acks []ack) {
	t.Helper()
	l := emptyLog(t, sqliteAt(path), journal.Config{})
	if n := missing(t, l.Journal, acks); n != 0 || len(acks) == 0 {
		t.Errorf("%d of %d acknowledged are lost", n, len(acks))
	}
	if _, _, err := prepare(t.Context(), l.Journal); err != nil {
		t.Error(err)
	}
	checkLog(t, l.Journal)
	l.stop()
}

// torn makes the states that a power cut leaves if not all names have reached
// the disk. In each of them a complete copy is the journal.
func torn(t *testing.T, path string, acks []ack) {
	t.Helper()
	for name, tear := range map[string]func(string) error{
		"the log of the old file is gone": func(path string) error { return os.Remove(path + "-wal") },
		"the log of the old file stands beside the new one": func(path string) error {
			return errors.Join(os.Remove(path), os.Link(path+".copy", path))
		},
		"the second name is left": func(path string) error { return os.Link(path+".copy", path+".place") },
		"an incomplete copy too":  func(path string) error { return os.WriteFile(path+".copying", []byte("SQLite"), 0o600) },
		"the old file is damaged": func(path string) error { return os.WriteFile(path, []byte("SQLite"), 0o600) },
	} {
		dir := t.TempDir()
		run(t, "cp", "-r", filepath.Dir(path)+"/.", dir)
		there := filepath.Join(dir, filepath.Base(path))
		if err := tear(there); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantAll(t, there, acks)
	}
}

// A start after a kill brings the whole write-ahead log into the database, and
// flushes it, before anything can be acknowledged.
func TestKilledLogIsEmptied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	p := startWriter(t, path, "")
	acks := append([]ack{p.first(t)}, p.kill()...)
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Fatalf("no log is left to try this with: %v", err)
	}
	l := emptyLog(t, sqliteAt(path), journal.Config{})
	alone := filepath.Join(t.TempDir(), "alone.db") // without the log
	run(t, "cp", path, alone)
	wantAll(t, alone, acks)
	l.stop()
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an orderly close leaves the log: %v", err)
	}
}
