package ledger_test

import (
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing/fstest"

	"github.com/terradourada/td/internal/ledger"
)

// model is a file system in memory that knows what a power cut would leave of
// it, and that fails on demand.
//
// What was written counts as kept only once it was synced, a name only once its
// directory was. A sync that fails is final, as it is on Linux: what it was to
// keep is not kept by a later sync either, although everything reads right.
type model struct {
	mu   sync.Mutex
	now  map[string]*node // by name, as the process sees them
	kept map[string]*node // by name, as they are on the disk
	lost map[string]*node // names of now whose sync has failed

	// fault is asked before each operation, when set: whether it fails, and
	// whether it is done all the same.
	fault func(op, name string) (err error, done bool)
	calls map[string]int // of each operation
}

type node struct {
	dir    bool
	data   []byte
	synced bool
}

var _ ledger.Storage = (*model)(nil)

func newModel() *model {
	return &model{now: map[string]*node{}, kept: map[string]*node{}, lost: map[string]*node{}, calls: map[string]int{}}
}

// do runs an operation unless it is to fail before it.
func (m *model) do(op, name string, effect func(failed bool) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[op]++
	var err error
	var done bool
	if m.fault != nil {
		err, done = m.fault(op, name)
	}
	if err != nil && !done {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	if eerr := effect(err != nil); eerr != nil {
		return &fs.PathError{Op: op, Path: name, Err: eerr}
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// set lets f change the model.
func (m *model) set(f func(m *model)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

func (m *model) ReadFile(name string) (data []byte, err error) {
	err = m.do("ReadFile", name, func(bool) error {
		n := m.now[name]
		switch {
		case n == nil:
			return syscall.ENOENT
		case n.dir:
			return syscall.EISDIR
		}
		data = slices.Clone(n.data)
		return nil
	})
	return data, err
}

func (m *model) ReadDir(name string) (names []string, err error) {
	err = m.do("ReadDir", name, func(bool) error {
		if err := m.isDir(name); err != nil {
			return err
		}
		for n := range m.now {
			if path.Dir(n) == name {
				names = append(names, path.Base(n))
			}
		}
		return nil
	})
	return names, err
}

func (m *model) isDir(name string) error {
	switch n := m.now[name]; {
	case name == ".":
		return nil
	case n == nil:
		return syscall.ENOENT
	case !n.dir:
		return syscall.ENOTDIR
	}
	return nil
}

// enter sets the node of a name; nil removes the name.
func (m *model) enter(name string, n *node) {
	delete(m.lost, name)
	if n == nil {
		delete(m.now, name)
		return
	}
	m.now[name] = n
}

func (m *model) Create(name string, data []byte) error {
	return m.do("Create", name, func(failed bool) error {
		if m.now[name] != nil {
			return syscall.EEXIST
		}
		if err := m.isDir(path.Dir(name)); err != nil {
			return err
		}
		m.enter(name, &node{data: slices.Clone(data), synced: !failed})
		return nil
	})
}

func (m *model) Mkdir(name string) error {
	return m.do("Mkdir", name, func(bool) error {
		if m.now[name] != nil {
			return syscall.EEXIST
		}
		if err := m.isDir(path.Dir(name)); err != nil {
			return err
		}
		m.enter(name, &node{dir: true, synced: true})
		return nil
	})
}

func (m *model) Rename(from, to string) error {
	return m.do("Rename", to, func(bool) error {
		n := m.now[from]
		if n == nil {
			return syscall.ENOENT
		}
		if err := m.isDir(path.Dir(to)); err != nil {
			return err
		}
		m.enter(to, n)
		m.enter(from, nil)
		return nil
	})
}

func (m *model) Remove(name string) error {
	return m.do("Remove", name, func(bool) error {
		if m.now[name] == nil {
			return syscall.ENOENT
		}
		for n := range m.now {
			if path.Dir(n) == name {
				return syscall.ENOTEMPTY
			}
		}
		m.enter(name, nil)
		return nil
	})
}

func (m *model) SyncDir(name string) error {
	return m.do("SyncDir", name, func(failed bool) error {
		if err := m.isDir(name); err != nil {
			return err
		}
		for n := range m.changed() {
			switch {
			case path.Dir(n) != name || m.now[n] != nil && m.lost[n] == m.now[n]:
			case failed && m.now[n] != nil:
				m.lost[n] = m.now[n]
			case failed:
			case m.now[n] == nil:
				delete(m.kept, n)
			default:
				m.kept[n] = m.now[n]
			}
		}
		return nil
	})
}

// changed are the names that a power cut may change.
func (m *model) changed() map[string]bool {
	out := map[string]bool{}
	for n := range m.now {
		out[n] = m.now[n] != m.kept[n]
	}
	for n := range m.kept {
		out[n] = m.now[n] != m.kept[n]
	}
	for n, is := range out {
		if !is {
			delete(out, n)
		}
	}
	return out
}

// cut is what a power cut leaves: all that is kept, and each other change with
// the probability kept. Of data that was not synced a part is left.
func (m *model) cut(rng *rand.Rand, kept float64) *model {
	m.mu.Lock()
	defer m.mu.Unlock()
	left := map[string]*node{}
	for n, k := range m.kept {
		left[n] = k
	}
	for n := range m.changed() {
		if rng.Float64() >= kept {
			continue
		}
		if left[n] = m.now[n]; left[n] == nil {
			delete(left, n)
		}
	}
	out := newModel()
	for n, k := range left {
		if !reachable(left, n) {
			continue
		}
		data := k.data
		if !k.synced {
			data = data[:rng.IntN(len(data)+1)]
		}
		out.now[n] = &node{dir: k.dir, data: data, synced: true}
		out.kept[n] = out.now[n]
	}
	return out
}

func reachable(names map[string]*node, name string) bool {
	for name = path.Dir(name); name != "."; name = path.Dir(name) {
		if n := names[name]; n == nil || !n.dir {
			return false
		}
	}
	return true
}

// files is what a reader of the directory sees.
func (m *model) files() fstest.MapFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := fstest.MapFS{}
	for name, n := range m.now {
		if !n.dir {
			out[name] = &fstest.MapFile{Data: n.data}
		}
	}
	return out
}

// count is how many files there are of this kind.
func (m *model) count(part string) (count int) {
	for name := range m.files() {
		if strings.Contains(name, part) {
			count++
		}
	}
	return count
}
