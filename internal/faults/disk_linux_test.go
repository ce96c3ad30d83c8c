package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/terradourada/td/internal/testdata/proctest"
)

const (
	diskSize   = "48M"
	sectorSize = 512
	// flushTime is how long a flush takes. Writes that are complete in the
	// meantime are not covered by it.
	flushTime = time.Millisecond
	// unmountTime is the time that the kernel may need to release a file system.
	unmountTime = 10 * time.Second
)

// op is one operation of a disk: a write, or a flush if data is nil.
type op struct {
	at   int64
	data []byte
	upto int // of a flush: the operations that were complete when it began
}

// The writes without a flush that a power cut keeps.
const (
	keepNothing = iota
	keepEverything
	keepSome
	keepModes
)

// cut returns the content of a disk after a power cut, from the content at the
// beginning of the log and the operations that were complete.
func cut(base []byte, log []op, mode int, rng *rand.Rand) []byte {
	image, covered := slices.Clone(base), 0
	for _, o := range log {
		covered = max(covered, o.upto)
	}
	for i, o := range log {
		switch {
		case i < covered || mode == keepEverything:
			copy(image[o.at:], o.data)
		case mode == keepSome:
			copySome(image[o.at:], o.data, rng)
		}
	}
	return image
}

// copySome copies all of a write, none of it, or some of its sectors.
func copySome(to, data []byte, rng *rand.Rand) {
	how := rng.IntN(3)
	for s := 0; s < len(data); s += sectorSize {
		if how == 0 || how == 1 && rng.IntN(2) == 0 {
			copy(to[s:], data[s:min(s+sectorSize, len(data))])
		}
	}
}

// disk is a file system on a loop device on a file that logs what is written to
// it and can fail.
type disk struct {
	dir string // of the file, in FUSE
	mnt string // of the file system

	mu    sync.Mutex
	data  []byte
	base  []byte // data at the beginning of the log
	log   []op
	fails syscall.Errno // of each write and flush, 0 if they succeed
}

// newDisk serves a disk with the given content and mounts its file system.
func newDisk(dir string, content []byte) (*disk, error) {
	d := &disk{dir: filepath.Join(dir, "fuse"), mnt: filepath.Join(dir, "mnt"), data: slices.Clone(content)}
	for _, name := range []string{d.dir, d.mnt} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return nil, err
		}
	}
	if err := d.serve(); err != nil {
		return nil, err
	}
	if err := d.mount(); err != nil {
		return nil, errors.Join(err, unmount(d.dir))
	}
	return d, nil
}

// serve mounts the FUSE file system. The descriptor is not left to the library,
// because child processes would inherit it: the file system would then wait for
// answers after this process has exited.
func (d *disk) serve() error {
	proctest.Starting.RLock()
	defer proctest.Starting.RUnlock()
	fd, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := syscall.Mount("td-faults", d.dir, "fuse", syscall.MS_NOSUID|syscall.MS_NODEV, options); err != nil {
		return errors.Join(err, syscall.Close(fd))
	}
	_, err = fs.Mount(fmt.Sprintf("/dev/fd/%d", fd), &diskDir{file: &diskFile{d: d}}, nil)
	return err
}

// mount mounts the file system and begins a new log.
func (d *disk) mount() error {
	proctest.Starting.RLock()
	defer proctest.Starting.RUnlock()
	d.mu.Lock()
	d.base, d.log = slices.Clone(d.data), nil
	d.mu.Unlock()
	return proctest.Command("mount", "-t", "ext4", "-o", "loop", filepath.Join(d.dir, diskName), d.mnt)
}

func (d *disk) unmount() error { return unmount(d.mnt) }

// close unmounts everything.
func (d *disk) close() error {
	if err := d.unmount(); err != nil {
		return err
	}
	return unmount(d.dir)
}

// position returns how many operations are complete since the disk was mounted.
func (d *disk) position() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// powerCut sets the disk to the content that a cut after k operations leaves,
// and mounts it.
func (d *disk) powerCut(k, mode int, rng *rand.Rand) error {
	return d.restart(func() []byte { return cut(d.base, d.log[:k], mode, rng) })
}

// dropFlushed sets the disk to its content after k operations, including what
// was flushed since, and mounts it.
func (d *disk) dropFlushed(k int) error {
	return d.restart(func() []byte { return cut(d.base, d.log[:k], keepEverything, nil) })
}

func (d *disk) restart(content func() []byte) error {
	if err := d.unmount(); err != nil {
		return err
	}
	d.mu.Lock()
	d.data = content()
	d.mu.Unlock()
	return d.mount()
}

// fail makes each write and flush fail with an error; 0 ends that.
func (d *disk) fail(errno syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = errno
}

func (d *disk) read(dest []byte, at int64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return copy(dest, d.data[min(at, int64(len(d.data))):])
}

func (d *disk) write(data []byte, at int64) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails != 0 {
		return d.fails
	}
	if at < 0 || at+int64(len(data)) > int64(len(d.data)) {
		return syscall.EFBIG
	}
	copy(d.data[at:], data)
	d.log = append(d.log, op{at: at, data: bytes.Clone(data)})
	return 0
}

func (d *disk) flush() syscall.Errno {
	began := d.position()
	time.Sleep(flushTime)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails == 0 {
		d.log = append(d.log, op{upto: min(began, len(d.log))})
	}
	return d.fails
}

// diskName is the one file of the FUSE file system.
const diskName = "disk"

type diskDir struct {
	fs.Inode
	file *diskFile
}

// OnAdd adds the file.
func (r *diskDir) OnAdd(ctx context.Context) {
	r.AddChild(diskName, r.NewPersistentInode(ctx, r.file, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

type diskFile struct {
	fs.Inode
	d *disk
}

var _ interface {
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
} = (*diskFile)(nil)

// Getattr returns the size of the disk.
func (f *diskFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	out.Mode, out.Size = 0o600, uint64(len(f.d.data))
	return 0
}

// Setattr changes nothing: a disk keeps its size, and times do not matter.
func (f *diskFile) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

// Open needs no handle. Each open drops what the kernel has cached.
func (f *diskFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (f *diskFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(dest[:f.d.read(dest, at)]), 0
}

func (f *diskFile) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	if errno := f.d.write(data, at); errno != 0 {
		return 0, errno
	}
	return uint32(len(data)), 0
}

// Fsync is the operation that a loop device sends for a flush.
func (f *diskFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return f.d.flush() }

// newContent returns an empty ext4 file system.
func newContent(dir string) ([]byte, error) {
	name := filepath.Join(dir, "ext4")
	defer os.Remove(name)
	if err := proctest.Command("truncate", "-s", diskSize, name); err != nil {
		return nil, err
	}
	if err := proctest.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", name); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// unmount retries until no process uses the file system any more.
func unmount(mnt string) (err error) {
	late := proctest.Eventually(unmountTime, mnt+" cannot be unmounted", func() bool {
		err = proctest.Command("umount", mnt)
		return err == nil
	})
	if late != nil {
		return fmt.Errorf("%w: %w", late, err)
	}
	return nil
}
