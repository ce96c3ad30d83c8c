package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// The comparison of the tables with the leaves takes some ten seconds for a million
// acceptances. A start with more leaves than Config.CheckLater leaves it to
// [Journal.Compare], which runs beside a server that is open already:
//
//   - If the journal was closed in order after such a comparison, and its file has not
//     changed since, acceptances are taken at once. That holds for every further start
//     until one finds a changed file or a difference.
//   - Else they are refused until the comparison has ended.
//
// A file beside the database remembers the comparison. A start removes it before it
// writes anything.

// checkedSuffix is the suffix of the file that remembers a comparison.
const checkedSuffix = ".checked"

// checked is what a comparison has found, with the file that it was made of.
type checked struct {
	file string // see identity
	next uint64 // number of leaves
	sum  chain  // over them
	by   map[Hold]uint64
}

// identity returns what changes whenever a file is written or replaced. The times of
// another clock do not matter: they are compared for equality only.
func identity(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d:%d:%d:%d.%09d:%d.%09d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec), nil
}

const checkedForm = "terradourada-checked/1 %s %d %s\n"

// write remembers a comparison durably. Call it after the database was closed.
func (c *checked) write(path string) (err error) {
	if c.file, err = identity(path); err != nil {
		return err
	}
	text := fmt.Appendf(nil, checkedForm, c.file, c.next, hex.EncodeToString(c.sum[:]))
	for h, seq := range c.by {
		text = fmt.Appendf(text, "%d %x %d\n", h.Operation, h.VK[:], seq)
	}
	return fsutil.WriteFile(path+checkedSuffix, text, 0o600)
}

// takeChecked reads and removes what remembers a comparison. It returns nil if there is
// nothing, or if the database has changed since.
func takeChecked(path string) (*checked, error) {
	b, err := os.ReadFile(filepath.Clean(path + checkedSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is remembered
	}
	if err := errors.Join(err, remove(path, checkedSuffix), fsutil.SyncDir(filepath.Dir(path))); err != nil {
		return nil, err
	}
	c := parseChecked(b)
	file, err := identity(path)
	if err != nil || c == nil || c.file != file {
		return nil, err
	}
	return c, nil
}

// parseChecked returns nil for a text that is not whole.
func parseChecked(text []byte) *checked {
	c, lines := &checked{by: map[Hold]uint64{}}, bufio.NewScanner(bytes.NewReader(text))
	var sum string
	if !lines.Scan() {
		return nil
	}
	if _, err := fmt.Sscanf(lines.Text()+"\n", checkedForm, &c.file, &c.next, &sum); err != nil || !decode(c.sum[:], sum) {
		return nil
	}
	for lines.Scan() {
		var h Hold
		var vk string
		var seq uint64
		if _, err := fmt.Sscanf(lines.Text(), "%d %s %d", &h.Operation, &vk, &seq); err != nil || !decode(h.VK[:], vk) {
			return nil
		}
		c.by[h] = seq
	}
	return c
}

func decode(dst []byte, text string) bool {
	n, err := hex.Decode(dst, []byte(text))
	return err == nil && n == len(dst)
}

// later reports whether the comparison is left to Compare. A file without a count of its
// leaves is new or damaged, and is checked at once.
func (j *Journal) later(ctx context.Context) bool {
	if j.cfg.CheckLater == 0 {
		return false
	}
	var next uint64
	err := j.read.QueryRowContext(ctx, "SELECT next FROM counter").Scan(&next)
	return err == nil && next > j.cfg.CheckLater
}

// loadLater reads what a start needs without the comparison, which is left to Compare.
func (j *Journal) loadLater(ctx context.Context, c *checked) error {
	next, state, err := j.readState(ctx)
	if err != nil {
		return err
	}
	j.owed, j.began = true, next
	state.By = make(map[Hold]Entry)
	if c != nil && c.next == next {
		j.sum, j.summed, j.known = c.sum, true, true
		for h, seq := range c.by {
			if e, ok, err := j.entry(ctx, "SELECT seq, leaf FROM leaves WHERE seq = ?", signed(seq)); err == nil && ok {
				state.By[h] = e
			}
		}
	} else {
		j.waits.Store(true)
	}
	j.state.Store(&state)
	j.told.Store(next)
	return nil
}

// Unchecked reports whether a comparison that the start has left to [Journal.Compare] has
// not succeeded, and acceptances wait for it.
func (j *Journal) Unchecked() bool { return j.waits.Load() }

// Distrust makes the next start compare everything: a difference was found elsewhere.
func (j *Journal) Distrust() { j.bad.Store(true) }

// Compare makes the comparison that [Open] has left to it, if it has. Call it while Run
// runs. The error is ErrDamaged if the tables are not those of the leaves; acceptances
// that wait for the comparison are then refused for good.
func (j *Journal) Compare(ctx context.Context) error {
	if !j.owed {
		return nil
	}
	view, err := OpenView(ctx, j.path)
	if err != nil {
		return err
	}
	defer func() { _ = view.Close() }() // nothing was written
	r := newReplay()
	r.most = j.began
	err = quickCheck(ctx, view.j.read)
	if err == nil {
		err = checkDerived(ctx, view.j.read, r)
	}
	if err != nil {
		if errors.Is(err, ErrDamaged) {
			j.Distrust()
		}
		return fmt.Errorf("journal: %w", explain(j.path, err))
	}
	for {
		_, err := j.submit(ctx, j.urgent, &submission{apply: func(g *group) (Entry, error) { return Entry{}, j.found(g, r) }})
		if err == nil || ctx.Err() != nil {
			return err
		}
		select { // it cannot be written at the moment
		case <-ctx.Done():
		case <-time.After(recoverEvery):
		}
	}
}

// found ends the comparison, in the writer's goroutine. Only then does the state have the
// leaves that made the holds, and the times at which holds end by themselves.
func (j *Journal) found(g *group, r *replay) (err error) {
	if err = r.follow(g, j.began); err == nil {
		g.state.Until, err = endsOf(r.holds, g.w.row)
	}
	if err != nil {
		g.err = err
		return err
	}
	g.state.By, g.dirty = r.by(), true
	j.summarize(r)
	j.owed = false
	j.waits.Store(false)
	return nil
}

// follow replays the control leaves from an index on. Each has a row.
func (r *replay) follow(g *group, from uint64) error {
	rows, err := g.w.query("SELECT seq, leaf FROM audit JOIN leaves USING (seq) WHERE seq >= ? ORDER BY seq", signed(from))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Seq, &e.Leaf); err != nil {
			return err
		}
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			return err
		}
		if c, ok := leaf.Body.(*protocol.Control); ok {
			r.control(e, c)
		}
	}
	return rows.Err()
}

// by returns the leaves that made the holds.
func (r *replay) by() map[Hold]Entry {
	by := make(map[Hold]Entry, len(r.holds))
	for h, f := range r.holds {
		by[h] = f.first
	}
	return by
}

// summarize sets the sum over all entries from a replay of those that were there at the
// start.
func (j *Journal) summarize(r *replay) {
	if j.summed {
		return
	}
	j.sum, j.summed = r.sum, true
	for _, leaf := range j.since {
		j.sum.add(leaf)
	}
	j.since = nil
}

// count adds a committed leaf to the sum, or keeps it until the sum is known.
func (j *Journal) count(leaf []byte) {
	if !j.summed {
		j.since = append(j.since, leaf)
		return
	}
	j.sum.add(leaf)
}

// mustKnowSum makes the comparison at once if no sum is known: a copy is compared with it.
func (j *Journal) mustKnowSum(ctx context.Context) error {
	if j.summed {
		return nil
	}
	r := newReplay()
	r.most = j.began
	if err := checkDerived(ctx, j.read, r); err != nil {
		return err
	}
	j.summarize(r)
	return nil
}

// mayRely reports whether the next start may rely on a comparison: one of this
// process, or one of an earlier process after which only this one has written.
func (j *Journal) mayRely() bool {
	large := j.cfg.CheckLater > 0 && j.told.Load() > j.cfg.CheckLater
	return large && (!j.owed || j.known) && !j.bad.Load()
}

// remember writes down that the tables were compared with the leaves, for the next start.
// Call it when the database is closed and the lock is held.
func (j *Journal) remember() {
	c := &checked{next: j.told.Load(), sum: j.sum, by: map[Hold]uint64{}}
	for h, e := range j.state.Load().By {
		c.by[h] = e.Seq
	}
	if err := c.write(j.path); err != nil {
		j.log.Warn("the next start compares the journal again before it accepts", "err", err)
	}
}
