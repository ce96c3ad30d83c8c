package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// server reports whether a server runs on the data directory.
func (d *doctor) server() {
	var err error
	d.lock, err = node.LockOf(d.cfg.Data)
	switch {
	case err != nil:
		d.bad(sandbox.StateWeak, sectionServer, "running", "cannot be found out: "+err.Error(), "")
	case d.lock.Held && d.lock.PID > 0:
		d.ok(sectionServer, "running", fmt.Sprintf("a server runs on this data directory, process %d", d.lock.PID))
	case d.lock.Held:
		d.ok(sectionServer, "running", "a server runs on this data directory")
	default:
		d.ok(sectionServer, "running", "no server runs on this data directory")
	}
}

// directory checks that the data directory exists, can be written, and is for its
// owner only.
func (d *doctor) directory() {
	const id = "data_directory"
	info, err := os.Stat(d.cfg.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := mayWrite(node.NearestExisting(d.cfg.Data)); err != nil {
			d.bad(sandbox.StateMissing, sectionServer, id, fmt.Sprintf("%s cannot be made: %v", d.cfg.Data, err), "--data names another directory")
			return
		}
		d.ok(sectionServer, id, d.cfg.Data+" does not exist yet; td serve makes it")
	case err != nil:
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), "--data names another directory")
	case !info.IsDir():
		d.bad(sandbox.StateMissing, sectionServer, id, d.cfg.Data+" is not a directory", "--data names another one")
	case mayWrite(d.cfg.Data) != nil:
		d.bad(sandbox.StateMissing, sectionServer, id, d.cfg.Data+" cannot be written", "make its owner the user that runs td serve")
	case info.Mode().Perm()&0o077 != 0:
		d.bad(sandbox.StateWeak, sectionServer, id, d.cfg.Data+" is open to others", "chmod 700 "+d.cfg.Data)
	default:
		d.ok(sectionServer, id, d.cfg.Data)
	}
}

// coreUser reports which user a server would run as; its data directory would
// belong to that user.
func (d *doctor) coreUser() {
	const id = "core_user"
	uid, why := node.CoreUser(d.cfg, d.cfg.Attestation)
	switch {
	case why != "":
		d.bad(sandbox.StateWeak, sectionServer, id, "root, without capabilities: "+why, "start the server as a user of its own, or see docs/operate.md")
	case uid != 0:
		d.ok(sectionServer, id, fmt.Sprintf("%d, and the data directory is given to it", uid))
	default:
		d.ok(sectionServer, id, strconv.Itoa(os.Getuid()))
	}
	err := node.CheckOwner(d.cfg.File())
	if err == nil {
		err = node.CheckPlace(d.cfg, uid)
	}
	if err != nil {
		wrong := fault.Of(err)
		d.bad(sandbox.StateMissing, sectionServer, "configuration_owner", wrong.What, wrong.Hint)
	}
}

// syncSlow bounds how long the disk may take to sync a file: every acceptance
// waits for that.
const syncSlow = 100 * time.Millisecond

// disk writes a file, syncs and removes it.
func (d *doctor) disk() {
	const id = "disk"
	dir := node.NearestExisting(d.cfg.Data)
	took, err := trySync(dir)
	if err != nil {
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), "--data names another directory")
		return
	}
	free, kind, volatile := fileSystem(dir)
	value := fmt.Sprintf("%s, written for good in %d ms", kind, took.Milliseconds())
	switch {
	case volatile:
		d.bad(sandbox.StateWeak, sectionServer, id, value+"; its content does not outlive the machine or container", "--data names a directory on a disk")
	case took > syncSlow:
		d.bad(sandbox.StateWeak, sectionServer, id, value, "use a faster disk: each acceptance waits for it")
	default:
		d.ok(sectionServer, id, value)
	}
	d.space(free)
}

// Free space below which a server runs out soon, or at once.
const (
	spaceEnough = 1 << 30
	spaceScarce = 64 << 20
)

func (d *doctor) space(free uint64) {
	const id, remedy = "disk_space", "make room: an acceptance takes about 4 KiB in journal and log"
	value := fmt.Sprintf("%d MiB free", free>>20)
	switch {
	case free >= spaceEnough:
		d.ok(sectionServer, id, value)
	case free >= spaceScarce:
		d.bad(sandbox.StateWeak, sectionServer, id, value, remedy)
	default:
		d.bad(sandbox.StateMissing, sectionServer, id, value, remedy)
	}
}

func trySync(dir string) (took time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	begun := time.Now()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		return 0, err
	}
	return time.Since(begun), errors.Join(f.Sync(), fsutil.SyncDir(dir))
}

func mayWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// journal reads the journal without its lock.
func (d *doctor) journal(ctx context.Context) {
	const id = "journal"
	view, err := journal.OpenView(ctx, filepath.Join(d.cfg.Data, datadir.JournalFile))
	if errors.Is(err, fs.ErrNotExist) {
		d.ok(sectionServer, id, "none yet")
		return
	}
	if err != nil {
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), journalRemedy(err))
		return
	}
	d.view = view
	size, err := view.Size(ctx)
	if err = errors.Join(err, view.Check(ctx)); err != nil {
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), journalRemedy(err))
		return
	}
	if d.cfg.Origin != "" && d.cfg.Origin != view.Origin() {
		d.bad(sandbox.StateMissing, sectionServer, id, "it is of the log "+view.Origin()+", not of the configured one", "leave out --origin, or name the right --data")
		return
	}
	d.ok(sectionServer, id, fmt.Sprintf("%d leaves of %s", size, view.Origin()))
}

// journalRemedy returns what can be done about a journal that cannot be read.
func journalRemedy(err error) string {
	return cmp.Or(journal.CauseOf(err).Remedy(), "keep a copy of the data directory as it is and see docs/operate.md, which says what must never be restored")
}

// ledger compares the published log with the journal.
func (d *doctor) ledger(ctx context.Context) {
	const id = "ledger"
	if d.view == nil {
		return // a log is compared with a journal only
	}
	size, err := ledger.Look(ctx, filepath.Join(d.cfg.Data, datadir.LedgerDir), d.view.Origin(), datadir.Rows{View: d.view})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.bad(sandbox.StateWeak, sectionServer, id, "not there; td serve builds it again from the journal", "")
	case err != nil:
		d.bad(sandbox.StateMissing, sectionServer, id, err.Error(), "see docs/operate.md before you move anything")
	default:
		d.ok(sectionServer, id, fmt.Sprintf("%d leaves published, as in the journal", size))
	}
}

// port checks that the address of the listener is free.
func (d *doctor) port(ctx context.Context) {
	const id = "listen"
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", d.cfg.Listen)
	switch {
	case err == nil && l.Close() == nil:
		d.ok(sectionServer, id, d.cfg.Listen+" is free")
	case errors.Is(err, syscall.EADDRINUSE) && d.lock.Held:
		d.ok(sectionServer, id, d.cfg.Listen+" is in use, and a server is running")
	case errors.Is(err, syscall.EADDRINUSE):
		d.bad(sandbox.StateMissing, sectionServer, id, d.cfg.Listen+" is in use by another program", "--listen names another address")
	default:
		d.bad(sandbox.StateMissing, sectionServer, id, fmt.Sprintf("%s: %v", d.cfg.Listen, err), "--listen names another address")
	}
}

// checkTLS loads certificate and key, if they are configured.
func checkTLS(cfg *config.Config) error {
	if cfg.TLSCert == "" {
		return nil
	}
	_, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	return err
}

// wallClock checks the clock: its year, whether it jumps, and that it is not
// before the last leaf of the log.
func (d *doctor) wallClock(ctx context.Context) {
	const id, remedy = "wall_clock", "run chrony or systemd-timesyncd"
	begun := time.Now()
	time.Sleep(50 * time.Millisecond) // to see two clocks run
	now := time.Now()
	steady, wall := now.Sub(begun), now.Round(0).Sub(begun.Round(0))
	value := now.UTC().Format(time.RFC3339)
	last, known := d.lastLeaf(ctx)
	switch {
	case now.Year() < 2026 || now.Year() > 2100:
		d.bad(sandbox.StateMissing, sectionServer, id, value+" cannot be", remedy)
	case (wall - steady).Abs() > 20*time.Millisecond:
		d.bad(sandbox.StateWeak, sectionServer, id, fmt.Sprintf("it moved by %d ms while %d ms passed", wall.Milliseconds(), steady.Milliseconds()), remedy)
	case known && last.Sub(now) > time.Minute:
		d.bad(sandbox.StateWeak, sectionServer, id, fmt.Sprintf("%s is before the last leaf of the log, %s", value, last.UTC().Format(time.RFC3339)), remedy)
	default:
		d.ok(sectionServer, id, value)
	}
}

// lastLeaf returns the time of the last leaf of the journal.
func (d *doctor) lastLeaf(ctx context.Context) (time.Time, bool) {
	if d.view == nil {
		return time.Time{}, false
	}
	size, err := d.view.Size(ctx)
	if err != nil || size == 0 {
		return time.Time{}, false
	}
	entries, err := d.view.Leaves(ctx, size-1, 1)
	if err != nil || len(entries) == 0 {
		return time.Time{}, false
	}
	leaf, err := protocol.ParseLeaf(entries[0].Leaf)
	return time.UnixMilli(int64(leaf.Time)), err == nil
}
