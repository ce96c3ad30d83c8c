package receipt

import (
	"bufio"
	"cmp"
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
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/fsutil"
)

const (
	trustHeader   = "terradourada-trust/2 "
	trustHeaderV1 = "terradourada-trust/1 "
	trustSuffix   = ".trust"
	lockSuffix    = ".lock"

	maxTrustLine = 4096 // bytes, with its end
	maxServer    = 2048 // bytes of a server's URL
	noServer     = "-"

	reasonV1 = "is of version 1; td trust import takes its records over"
)

// record is one line of a trust file.
type record struct {
	size      uint64
	root, key [32]byte
	signature string // base64
	time      int64  // Unix seconds
	how       Vouch
	server    string // "" if none
	line      int    // from 1; 0 if it is not in a file
}

func newRecord(c *Checkpoint, how Vouch, server string, now time.Time) record {
	return record{
		size: c.Size, root: c.Root, key: c.Key, signature: c.signature, time: max(0, now.Unix()), how: how, server: server,
	}
}

// String returns the line of a trust file, with its newline.
func (r *record) String() string {
	return fmt.Sprintf("%d %s %s %s %d %s %s\n", r.size, tlog.Hash(r.root), tlog.Hash(r.key), r.signature, r.time, r.how, cmp.Or(r.server, noServer))
}

// parseRecord reads a line that String wrote, and nothing else.
func parseRecord(line string) (record, bool) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(f) != 7 {
		return record{}, false
	}
	r, ok := parseSigned(f[:5])
	r.how, r.server = Vouch(f[5]), f[6]
	if r.server == noServer {
		r.server = ""
	}
	return r, ok && r.how.known() && (r.server == "" || isServer(r.server)) && r.String() == line
}

// parseSigned reads size, root, key, signature and time, which are the same
// in both versions.
func parseSigned(f []string) (r record, ok bool) {
	size, err := parseNumber(f[0])
	root, err2 := parseHash(f[1])
	key, err3 := parseHash(f[2])
	sig, err4 := stdBase64.DecodeString(f[3])
	seconds, err5 := parseNumber(f[4])
	r = record{size: size, root: root, key: key, signature: f[3], time: int64(seconds)}
	return r, errors.Join(err, err2, err3, err4, err5) == nil && size > 0 && len(sig) > keyIDSize
}

func (v Vouch) known() bool {
	return slices.Contains([]Vouch{VouchLive, VouchChain, VouchPolicy, VouchOperator, VouchNone}, v)
}

// isServer reports whether a server's name fits one field of a line.
func isServer(s string) bool {
	return s != noServer && len(s) <= maxServer && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// knownLog is what one file holds.
type knownLog struct {
	path     string
	origin   string
	file     os.FileInfo // as last read, nil if there is none
	read     int64       // bytes understood, up to the end of a line
	lines    int         // number of lines in them
	vouched  map[uint64]record
	newest   uint64 // greatest size in vouched
	loose    []record
	live     map[string]record // by server: the newest live record that names it
	verified map[record]bool
}

func newKnownLog(path string) *knownLog {
	return &knownLog{path: path, vouched: map[uint64]record{}, live: map[string]record{}, verified: map[record]bool{}}
}

func (t *TrustStore) path(origin string) string { return t.name(origin) + trustSuffix }

func (t *TrustStore) name(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return filepath.Join(t.dir, hex.EncodeToString(sum[:16]))
}

// load brings the cached state of a file up to date. For a log without a file
// nothing is cached: there is no bound on the origins that receipts can name.
func (t *TrustStore) load(path string) (*knownLog, error) {
	k := t.files[path]
	f, err := os.Open(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		delete(t.files, path)
		return newKnownLog(path), nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // the file was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if k == nil || !os.SameFile(k.file, info) || info.Size() < k.read {
		k = newKnownLog(path)
	}
	k.file = info
	if _, err := f.Seek(k.read, io.SeekStart); err != nil {
		return nil, err
	}
	if err := k.readLines(t, f); err != nil {
		delete(t.files, path)
		return nil, err
	}
	t.files[path] = k
	return k, nil
}

// readLines parses the complete lines that are left in f. A last line without its
// end, which an interrupted write leaves, is ignored.
func (k *knownLog) readLines(t *TrustStore, f io.Reader) error {
	for br := bufio.NewReaderSize(f, maxTrustLine); ; {
		b, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && k.lines == 1: // a file is never made without a record
			return &DamagedError{k.path, 2, "is missing: the file has lost its records"}
		case errors.Is(err, io.EOF) && k.lines > 0:
			return nil
		case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
		k.lines++
		if reason := k.take(t, string(b)); reason != "" {
			return &DamagedError{k.path, k.lines, reason}
		}
		k.read += int64(len(b))
	}
}

// take adds one line to the state and returns what is wrong with it, or "".
func (k *knownLog) take(t *TrustStore, line string) string {
	if k.lines == 1 {
		return k.takeHeader(t, line)
	}
	r, ok := parseRecord(line)
	if !ok {
		return "is no record"
	}
	r.line = k.lines
	if r.how == VouchNone {
		k.loose = append(k.loose, r)
		return ""
	}
	if known, ok := k.vouched[r.size]; ok && known.root != r.root {
		return fmt.Sprintf("contradicts line %d", known.line)
	}
	k.vouched[r.size] = r
	k.newest = max(k.newest, r.size)
	if r.how == VouchLive && r.server != "" && r.time >= k.live[r.server].time {
		k.live[r.server] = r
	}
	return ""
}

func (k *knownLog) takeHeader(t *TrustStore, line string) string {
	if strings.HasPrefix(line, trustHeaderV1) {
		return reasonV1
	}
	origin, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), trustHeader)
	if !ok || !isOrigin(origin) || line != trustHeader+origin+"\n" {
		return "is not the header of a trust file"
	}
	if t.path(origin) != k.path {
		return "names another log than the file"
	}
	k.origin = origin
	return ""
}

// use verifies the signature of a record before it is first used: a record with
// a changed bit must not count as evidence against a log.
func (k *knownLog) use(r record) error {
	if r.size == 0 || k.verified[r] {
		return nil
	}
	if !r.genuine(k.origin) {
		return &DamagedError{k.path, r.line, "has a wrong signature"}
	}
	k.verified[r] = true
	return nil
}

// genuine verifies the signature of a record.
func (r *record) genuine(origin string) bool {
	_, err := ParseCheckpoint(r.note(origin), r.key)
	return err == nil
}

// note returns the checkpoint of a record, a signed note.
func (r *record) note(origin string) string {
	return fmt.Sprintf("%s\n%d\n%s\n\n— %s %s\n", origin, r.size, tlog.Hash(r.root), origin, r.signature)
}

// lastLive returns the newest live record that names a server; size 0 if
// there is none.
func (k *knownLog) lastLive() (last record) {
	for _, r := range k.live {
		if last.size == 0 || r.time > last.time || r.time == last.time && r.line > last.line {
			last = r
		}
	}
	return last
}

// loadAll loads the files of all logs, by path. It returns the errors of those
// that cannot be read.
func (t *TrustStore) loadAll() (all []*knownLog, errs []error) {
	entries, err := os.ReadDir(t.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []error{err}
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), trustSuffix)
		if id, err := hex.DecodeString(name); !ok || err != nil || len(id) != 16 {
			continue // not a trust file
		}
		k, err := t.load(filepath.Join(t.dir, e.Name()))
		if err == nil {
			for _, r := range k.live {
				err = cmp.Or(err, k.use(r))
			}
		}
		if err != nil {
			errs = append(errs, err)
		} else if k.file != nil { // nil: it was removed meanwhile
			all = append(all, k)
		}
	}
	return all, errs
}

// boundLog returns the log whose newest live record names the server, unless
// a newer one of another log does. It also returns the time of the newest
// that does.
func boundLog(all []*knownLog, server string) (origin string, at int64) {
	var holder *knownLog
	for _, k := range all {
		if r := k.live[server]; r.size != 0 && (holder == nil || r.time > holder.live[server].time) {
			holder = k
		}
	}
	if holder == nil {
		return "", 0
	}
	r := holder.live[server]
	if holder.lastLive().server == server {
		origin = holder.origin
	}
	return origin, r.time
}

// look returns the records that bear on a checkpoint. Another log's file that
// cannot be read matters only if it could bind the server.
func (t *TrustStore) look(c *Checkpoint, from Source) (view, error) {
	if c.signature == "" || c.Epoch == nil {
		return view{}, errors.New("the checkpoint was not verified together with the leaf that announces its key")
	}
	if from.Server != "" && !isServer(from.Server) {
		return view{}, errors.New("the name of the server is not a URL in printable ASCII")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lookLocked(c, from)
}

func (t *TrustStore) lookLocked(c *Checkpoint, from Source) (view, error) {
	k, err := t.load(t.path(c.Origin))
	if err != nil {
		return view{}, err
	}
	w := view{file: k.path, newest: k.vouched[k.newest], same: k.vouched[c.Size], loose: len(k.loose)}
	if err := cmp.Or(k.use(w.newest), k.use(w.same), k.use(k.lastLive())); err != nil {
		return view{}, err
	}
	for _, r := range k.loose {
		w.kept = w.kept || r.size == c.Size && r.root == c.Root && r.key == c.Key
		w.differs = w.differs || r.size == c.Size && r.root != c.Root && k.use(r) == nil
	}
	all, errs := t.loadAll()
	for _, err := range errs {
		switch v1 := (*DamagedError)(nil); {
		case errors.As(err, &v1) && v1.Line == 1 && v1.Reason == reasonV1: // binds nothing
		case from.live():
			return view{}, err
		default:
			w.skipped = true
		}
	}
	last := k.lastLive()
	if origin, _ := boundLog(all, last.server); origin == c.Origin {
		w.server = last.server
	}
	w.bound = last.time
	if from.live() {
		var at int64
		w.itsLog, at = boundLog(all, from.Server)
		w.bound = max(w.bound, at)
	}
	return w, nil
}

// commit appends a record, unless the records have changed since w.
func (t *TrustStore) commit(w view, c *Checkpoint, from Source, r record) (done bool, err error) {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return false, err
	}
	unlock, err := lockFile(t.name(c.Origin) + lockSuffix)
	if err != nil {
		return false, err
	}
	defer unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if now, err := t.lookLocked(c, from); err != nil || now != w {
		return false, err
	}
	return true, t.append(c.Origin, r)
}

// append appends records and makes them durable; the caller holds the lock.
func (t *TrustStore) append(origin string, records ...record) error {
	path := t.path(origin)
	if err := t.makeRoom(path); err != nil {
		return err
	}
	k, err := t.load(path)
	if err != nil {
		return err
	}
	var text strings.Builder
	for i := range records {
		text.WriteString(records[i].String())
	}
	if k.file == nil {
		return t.write(path, trustHeader+origin+"\n"+text.String(), os.Link)
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(k.read) // cuts off a last line without its end
	if err == nil {
		_, err = f.WriteAt([]byte(text.String()), k.read)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// makeRoom replaces a full file by one without the smaller half of the vouched
// sizes. V is in the other half; the newest live record stays.
func (t *TrustStore) makeRoom(path string) error {
	k, err := t.load(path)
	if err != nil || len(k.vouched) < t.maxRecorded {
		return err
	}
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return err
	}
	keep, last := slices.Sorted(maps.Keys(k.vouched))[len(k.vouched)/2], k.lastLive()
	var text strings.Builder
	for line := range strings.Lines(string(b[:k.read])) {
		r, ok := parseRecord(line)
		if !ok || r.how == VouchNone || r.size >= keep || r.size == last.size { // the header is not a record
			text.WriteString(line)
		}
	}
	return t.write(path, text.String(), os.Rename)
}

// write writes a file whole or not at all: put renames the finished file to its
// name.
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
	if err := put(f.Name(), path); err != nil {
		return err
	}
	_ = fsutil.SyncDir(t.dir) // some systems and file systems cannot
	return nil
}
