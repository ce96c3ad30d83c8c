package ledger_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/ledger"
)

const crashEnv = "LEDGER_TEST_CRASH_DIR"

// TestMain runs the test binary as the victim of TestKill when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKill kills a process that commits and projects as fast as it can, at a
// random moment, again and again. After each kill the log must continue to be
// the journal, and every checkpoint that was ever shown must be a prefix.
func TestKill(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	var shown []ledger.Checkpoint
	for range rounds {
		shown = append(shown, killOne(t, dir, time.Duration(20+rng.IntN(500))*time.Millisecond)...)
		j, err := openFileRows(dir + "/journal")
		if err != nil {
			t.Fatal(err)
		}
		l := start(t, dir+"/ledger", &j.rows, nil)
		s := newSigner(t)
		index, err := j.write([]byte("epoch-open"))
		if err != nil {
			t.Fatal(err)
		}
		l.SetSigner(s, index)
		cp := l.await(index)
		check(t, dir+"/ledger", &j.rows, cp)
		checkPrefixes(t, shown, j.hashes(cp.Size))
		if err := l.halt(); err != nil {
			t.Fatal(err)
		}
		if err := j.file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(shown) < rounds {
		t.Errorf("only %d checkpoints were shown in %d rounds", len(shown), rounds)
	}
	t.Logf("%d checkpoints shown, the last of %d entries", len(shown), shown[len(shown)-1].Size)
}

func checkPrefixes(t *testing.T, shown []ledger.Checkpoint, leaves []tlog.Hash) {
	t.Helper()
	reader := stored(t, leaves)
	for _, cp := range shown {
		if cp.Size > uint64(len(leaves)) {
			t.Fatalf("a checkpoint of %d entries was shown, %d are there", cp.Size, len(leaves))
		}
		if root, err := tlog.TreeHash(int64(cp.Size), reader); err != nil || root != cp.Root {
			t.Fatalf("the checkpoint of %d entries that was shown is not a prefix: %v", cp.Size, err)
		}
	}
}

// killOne runs a victim, kills it after a while and returns the checkpoints it
// printed.
func killOne(t *testing.T, dir string, after time.Duration) (shown []ledger.Checkpoint) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var cp ledger.Checkpoint
		var root []byte
		if _, err := fmt.Sscanf(lines.Text(), "%d %x\n", &cp.Size, &root); err != nil || len(root) != 32 {
			continue // the line that the kill cut
		}
		cp.Root = [32]byte(root)
		if shown = append(shown, cp); len(shown) == 1 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	return shown
}

// victim commits groups of rows and prints each checkpoint it is shown.
func victim(dir string) error {
	j, err := openFileRows(dir + "/journal")
	if err != nil {
		return err
	}
	l, err := ledger.Open(context.Background(), ledger.Config{
		Dir: dir + "/ledger", Origin: origin, Source: &j.rows, Interval: 20 * time.Millisecond, MaxLag: 50,
	})
	if err != nil {
		return err
	}
	j.sink = l.Committed
	go func() { fmt.Fprintln(os.Stderr, "victim:", l.Run(context.Background())); os.Exit(1) }()
	s := newSigner(new(testing.B))
	index, err := j.write([]byte("epoch-open"))
	if err != nil {
		return err
	}
	l.SetSigner(s, index)
	go announce(l, index)
	for i := 0; ; i++ {
		for l.Admit() != nil {
			time.Sleep(time.Millisecond) // back-pressure, as its callers apply it
		}
		if _, err := j.write(someLeaves(fmt.Sprint(os.Getpid(), i), 1+i%40)...); err != nil {
			return err
		}
	}
}

func announce(l *ledger.Ledger, index uint64) {
	for {
		cp, err := l.Await(context.Background(), index)
		if err != nil {
			return
		}
		fmt.Printf("%d %x\n", cp.Size, cp.Root)
		index = cp.Size
	}
}

// fileRows is rows kept in a file: a length word and the leaf, synced before
// they count. A torn tail is cut off.
type fileRows struct {
	rows
	file *os.File
}

func openFileRows(path string) (*fileRows, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &fileRows{file: f}
	r := bufio.NewReader(f)
	var end int64
	for {
		var n uint32
		if binary.Read(r, binary.BigEndian, &n) != nil {
			break
		}
		leaf := make([]byte, n)
		if _, err := io.ReadFull(r, leaf); err != nil {
			break
		}
		j.leaves, end = append(j.leaves, leaf), end+4+int64(n)
	}
	if err := f.Truncate(end); err != nil {
		return nil, err
	}
	_, err = f.Seek(end, io.SeekStart)
	return j, err
}

// write commits rows and returns the last one's number.
func (j *fileRows) write(leaves ...[]byte) (uint64, error) {
	var b []byte
	for _, leaf := range leaves {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(leaf))), leaf...)
	}
	if _, err := j.file.Write(b); err != nil {
		return 0, err
	}
	if err := j.file.Sync(); err != nil {
		return 0, err
	}
	return j.commit(leaves...), nil
}
