package receipt

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	trustHeader = "terradourada-trust/1 "
	trustSuffix = ".trust"

	// MaxRecorded bounds the checkpoints a [TrustStore] keeps per log; at the
	// bound the older half goes.
	MaxRecorded = 1 << 18
)

// Refusals of [TrustStore.Check]. A checkpoint refused with one of them may be
// genuine; one refused with a [SplitViewError] contradicts what was recorded.
var (
	ErrUnknownLog = errors.New("no checkpoint of this log is recorded on this machine")
	ErrNotShown   = errors.New("other checkpoints of this log are recorded on this machine, but not this one, and no log was given to show that they belong together")
)

// SplitViewError says that a log showed two histories: somebody is lied to.
type SplitViewError struct {
	Origin string
	Size   uint64 // of the recorded checkpoint
	File   string // holds the recorded checkpoint with its signature
}

// Error names the log, the size and the file with the evidence.
func (e *SplitViewError) Error() string {
	return fmt.Sprintf("possible split view: log %s contradicts the checkpoint of size %d recorded in %s; keep that file and this receipt as evidence",
		e.Origin, e.Size, e.File)
}

// Log answers for the tree of one log; tiles behind a URL or in a directory are
// enough. Nothing it says is believed without proof.
type Log interface {
	// Consistency gives the hashes of the RFC 6962 consistency proof between
	// the trees of size from and to, 0 < from < to. It fails if the log does
	// not reach that far.
	Consistency(ctx context.Context, from, to uint64) ([][32]byte, error)
}

// TrustStore remembers the checkpoints that this machine has seen, one file per
// log; the package comment has the format. Any number of processes may share a
// directory. Its methods may be called concurrently.
type TrustStore struct {
	dir         string
	maxRecorded int

	mu   sync.Mutex
	logs map[string]*knownLog // by origin; a cache of the files
}

// knownLog is what one file holds.
type knownLog struct {
	file  os.FileInfo // as last read, nil if there is none
	read  int64       // bytes understood, up to the end of a line
	roots map[uint64]tlog.Hash
	last  uint64 // greatest size in roots
}

// OpenTrust uses the trust files in dir, which the first [TrustStore.Pin]
// makes.
func OpenTrust(dir string) (*TrustStore, error) {
	if info, err := os.Stat(dir); dir == "" || err == nil && !info.IsDir() {
		return nil, errors.New("the trust store is not a directory")
	}
	return &TrustStore{dir: dir, maxRecorded: MaxRecorded, logs: map[string]*knownLog{}}, nil
}

// DefaultTrustDir is terradourada/trust in $XDG_STATE_HOME, which is by default
// .local/state in the home directory.
func DefaultTrustDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "terradourada", "trust"), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "terradourada", "trust"), err
}

// Check reports nil if the very checkpoint is recorded, or if log shows it
// consistent with the newest one recorded. A nil log shows nothing. The errors
// are [ErrUnknownLog], [ErrNotShown], a [*SplitViewError], or say what could
// not be read. Check writes nothing.
func (t *TrustStore) Check(ctx context.Context, c *Checkpoint, log Log) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.check(ctx, c, log)
	return err
}

// Pin records a checkpoint got in a session with its server, or from somebody
// who is trusted. The first one of a log is taken as it is; every later one
// must be shown consistent by log, so that a fork is refused for good.
func (t *TrustStore) Pin(ctx context.Context, c *Checkpoint, log Log, now time.Time) error {
	if c.signature == "" {
		return errors.New("checkpoint was not verified")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k, err := t.check(ctx, c, log)
	if err != nil && !errors.Is(err, ErrUnknownLog) {
		return err
	}
	if _, recorded := k.roots[c.Size]; recorded {
		return nil
	}
	return t.record(k, c, now)
}

// Newest gives size and root of the greatest checkpoint recorded of a log; ok
// is false if there is none.
func (t *TrustStore) Newest(origin string) (size uint64, root [32]byte, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, err := t.load(origin)
	if err != nil || len(k.roots) == 0 {
		return 0, root, false, err
	}
	return k.last, k.roots[k.last], true, nil
}

func (t *TrustStore) check(ctx context.Context, c *Checkpoint, log Log) (*knownLog, error) {
	k, err := t.load(c.Origin)
	if err != nil {
		return nil, err
	}
	root, recorded := k.roots[c.Size]
	switch {
	case recorded && root == c.Root:
		return k, nil
	case recorded:
		return nil, &SplitViewError{c.Origin, c.Size, t.path(c.Origin)}
	case len(k.roots) == 0:
		return k, ErrUnknownLog
	case log == nil:
		return k, ErrNotShown
	}
	return k, t.checkConsistent(ctx, c, k, log)
}

func (t *TrustStore) checkConsistent(ctx context.Context, c *Checkpoint, k *knownLog, log Log) error {
	from, fromRoot, to, toRoot := c.Size, tlog.Hash(c.Root), k.last, k.roots[k.last]
	if from > to {
		from, fromRoot, to, toRoot = to, toRoot, from, fromRoot
	}
	hashes, err := log.Consistency(ctx, from, to)
	if err != nil {
		return fmt.Errorf("the log could not show that its trees of size %d and %d belong together: %w", from, to, err)
	}
	proof := make(tlog.TreeProof, len(hashes))
	for i, h := range hashes {
		proof[i] = h
	}
	if tlog.CheckTree(proof, int64(to), toRoot, int64(from), fromRoot) != nil {
		return &SplitViewError{c.Origin, k.last, t.path(c.Origin)}
	}
	return nil
}

func (t *TrustStore) path(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return filepath.Join(t.dir, hex.EncodeToString(sum[:16])+trustSuffix)
}

// load brings the cached state of a log up to date with its file. Of a log that
// has none, nothing is kept: anybody can make up any number of those.
func (t *TrustStore) load(origin string) (*knownLog, error) {
	k := t.logs[origin]
	f, err := os.Open(t.path(origin))
	if errors.Is(err, fs.ErrNotExist) {
		delete(t.logs, origin)
		return &knownLog{roots: map[uint64]tlog.Hash{}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if k == nil || !os.SameFile(k.file, info) || info.Size() < k.read {
		k = &knownLog{roots: map[uint64]tlog.Hash{}}
	}
	k.file = info
	if _, err := f.Seek(k.read, io.SeekStart); err != nil {
		return nil, err
	}
	if err := t.readLines(origin, k, f); err != nil {
		delete(t.logs, origin)
		return nil, err
	}
	t.logs[origin] = k
	return k, nil
}

// readLines takes in the complete lines that r still has. A line that is
// neither the header nor a record, as an interrupted write leaves behind, stands
// for nothing.
func (t *TrustStore) readLines(origin string, k *knownLog, r io.Reader) error {
	header := trustHeader + origin + "\n"
	for br := bufio.NewReader(r); ; {
		line, err := br.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if k.read == 0 && line != header {
			return fmt.Errorf("trust file %s does not begin with its header", t.path(origin))
		}
		k.read += int64(len(line))
		size, root, ok := parseRecord(line)
		if !ok {
			continue
		}
		if known, ok := k.roots[size]; ok && known != root {
			return &SplitViewError{origin, size, t.path(origin)}
		}
		k.roots[size] = root
		k.last = max(k.last, size)
	}
}

func parseRecord(line string) (uint64, tlog.Hash, bool) {
	f := strings.Fields(line)
	if len(f) != 5 {
		return 0, tlog.Hash{}, false
	}
	size, err := parseNumber(f[0])
	if err != nil {
		return 0, tlog.Hash{}, false
	}
	root, err := parseHash(f[1])
	return size, root, err == nil
}

// record appends one line and makes it durable.
func (t *TrustStore) record(k *knownLog, c *Checkpoint, now time.Time) error {
	if err := t.makeRoom(c.Origin, k); err != nil {
		return err
	}
	line := fmt.Sprintf("%d %s %s %s %d\n", c.Size, tlog.Hash(c.Root), tlog.Hash(c.Key), c.signature, now.Unix())
	if k.file != nil && k.file.Size() > k.read {
		line = "\n" + line // ends a line whose writing was interrupted
	}
	f, err := os.OpenFile(t.path(c.Origin), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Sync(), f.Close())
}

// makeRoom makes the file of a new log, and replaces a full one by one without
// the records of the smaller half of the sizes.
func (t *TrustStore) makeRoom(origin string, k *knownLog) error {
	content := trustHeader + origin + "\n"
	switch {
	case k.file == nil:
		return t.write(t.path(origin), content, os.Link)
	case k.read == 0: // not even a header
		return t.write(t.path(origin), content, os.Rename)
	case len(k.roots) < t.maxRecorded:
		return nil
	}
	old, err := os.ReadFile(t.path(origin))
	if err != nil {
		return err
	}
	keep := slices.Sorted(maps.Keys(k.roots))[len(k.roots)/2]
	for line := range strings.Lines(string(old)) {
		if size, _, ok := parseRecord(line); ok && size >= keep {
			content += line
		}
	}
	return t.write(t.path(origin), content, os.Rename)
}

// write makes a file whole or not at all: put gives the finished file its name.
// A link does not replace what another process made meanwhile.
func (t *TrustStore) write(path, content string, put func(from, to string) error) error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(t.dir, "new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if it was renamed
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := put(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
