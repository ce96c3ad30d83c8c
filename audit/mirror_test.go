package audit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// mirror is a copy of a log that is made file by file. It is read from its directory
// and over HTTP.
type mirror struct {
	dir    string
	client *client.Client
	tick   func() // before each request, if it is set
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{dir: t.TempDir()}
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if m.tick != nil {
			m.tick()
		}
		b, err := os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream") // the checkpoint too
		_, _ = w.Write(b)
	}))
	t.Cleanup(s.Close)
	var err error
	if m.client, err = client.New(s.URL, client.Config{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// put copies one file. If prune is set, narrower partial tiles of the same tile go.
func (m *mirror) put(name string, content []byte, prune bool) error {
	file := filepath.Join(m.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	if !prune || name == tiles.Checkpoint {
		return nil
	}
	added, err := tiles.ParsePath(name)
	if err != nil {
		return err
	}
	for _, other := range namesIn(m.dir) {
		if t, err := tiles.ParsePath(other); err == nil && t.L == added.L && t.N == added.N && t.W < added.W {
			if err := os.Remove(filepath.Join(m.dir, filepath.FromSlash(other))); err != nil {
				return err
			}
		}
	}
	return nil
}

// sources returns the two ways to read the mirror.
func (m *mirror) sources() map[string]*client.Log {
	return map[string]*client.Log{"directory": client.NewLogDir(m.dir), "server": client.NewLog(m.client)}
}

// missing returns a tile that the mirror has in no sufficient width for the tree that
// its checkpoint states, or "".
func (m *mirror) missing() string {
	note, err := os.ReadFile(filepath.Join(m.dir, tiles.Checkpoint))
	if err != nil {
		return tiles.Checkpoint
	}
	_, size, _ := tiles.Head(note)
	names := namesIn(m.dir)
	for level := tiles.Entries; level < 8; level++ {
		for n := uint64(0); tiles.At(level, n, size).W > 0; n++ {
			want := tiles.At(level, n, size)
			if !slices.ContainsFunc(names, func(name string) bool {
				t, err := tiles.ParsePath(name)
				return err == nil && t.L == want.L && t.N == want.N && t.W >= want.W
			}) {
				return tiles.Path(want)
			}
		}
	}
	return ""
}

func namesIn(dir string) (names []string) {
	_ = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	return names
}

func filesIn(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range namesIn(dir) {
		b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	return files
}

// orders are orders in which the files of a log are copied.
func orders(files map[string][]byte, random *rand.Rand) map[string][]string {
	names := slices.Sorted(maps.Keys(files))
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	// Sorted, the checkpoint is the first file, and entries come after hashes.
	all := map[string][]string{"checkpoint first": names, "checkpoint last": backwards}
	middle := slices.Clone(names[1:])
	all["checkpoint between tiles and entries"] = slices.Insert(middle, slices.IndexFunc(middle, func(s string) bool { return strings.HasPrefix(s, "tile/entries") }), names[0])
	for i := range 2 {
		shuffled := slices.Clone(names)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		all[fmt.Sprint("shuffled ", i)] = shuffled
	}
	return all
}

// growth is a log at two sizes, and a trust store that knows it.
type growth struct {
	old, grown map[string][]byte
	trust      *receipt.TrustStore
}

func newGrowth(t *testing.T, from, to uint64) *growth {
	t.Helper()
	log, dir := logtest.New(), t.TempDir()
	for log.Size() < from {
		log.Add(&protocol.Incident{})
	}
	log.Write(dir, log.Epochs[0])
	g := &growth{old: filesIn(t, dir), trust: recorded(t, log)}
	for log.Size() < to {
		log.Add(&protocol.Incident{})
	}
	dir = t.TempDir()
	log.Write(dir, log.Epochs[0])
	g.grown = filesIn(t, dir)
	return g
}

var growths = [][2]uint64{{100, 180}, {100, 300}, {250, 512}, {256, 257}, {511, 513}}

// TestMirrorIsReadableAtAnyMoment copies a log that has grown, in hostile orders, over
// an older copy or none. After each file the mirror is audited: it is valid if it has
// the tree that its checkpoint states, and else incomplete.
func TestMirrorIsReadableAtAnyMoment(t *testing.T) {
	for i, sizes := range growths {
		if testing.Short() && i > 0 {
			break // long, and without concurrency
		}
		t.Run(fmt.Sprintf("%d to %d", sizes[0], sizes[1]), func(t *testing.T) {
			t.Parallel()
			g := newGrowth(t, sizes[0], sizes[1])
			for order, names := range orders(g.grown, rand.New(rand.NewPCG(uint64(i), 1))) {
				for _, start := range []string{"empty", "old", "old and pruned"} {
					m := newMirror(t)
					if start != "empty" {
						for name, b := range g.old {
							if err := m.put(name, b, false); err != nil {
								t.Fatal(err)
							}
						}
					}
					what := order + ", " + start
					g.audit(t, m, what)
					for _, name := range names {
						if err := m.put(name, g.grown[name], start == "old and pruned"); err != nil {
							t.Fatal(err)
						}
						g.audit(t, m, what+", after "+name)
					}
					if lacks := m.missing(); lacks != "" {
						t.Fatalf("%s: the whole copy lacks %s", what, lacks)
					}
				}
			}
		})
	}
}

// audit wants the mirror valid if it is whole, and else incomplete.
func (g *growth) audit(t *testing.T, m *mirror, what string) {
	t.Helper()
	lacks := m.missing()
	for kind, source := range m.sources() {
		r, err := audit.Run(t.Context(), source, audit.Options{Trust: g.trust})
		var incomplete *client.IncompleteError
		switch {
		case lacks == "" && (err != nil || !r.OK || r.Vouched == nil):
			t.Errorf("%s, %s: %+v, %v, want it valid", kind, what, r, err)
		case lacks != "" && !errors.As(err, &incomplete):
			t.Errorf("%s, %s: it lacks %s: %+v, %v, want it incomplete", kind, what, lacks, r, err)
		case lacks != "" && !strings.Contains(err.Error(), "the log lacks its file "+incomplete.Path+", which may not have been copied yet"):
			t.Errorf("%s, %s: it says %v", kind, what, err)
		}
	}
}

// TestMirrorGrowsWhileItIsRead copies one file before each request of an audit.
func TestMirrorGrowsWhileItIsRead(t *testing.T) {
	for i, sizes := range growths {
		g := newGrowth(t, sizes[0], sizes[1])
		for order, names := range orders(g.grown, rand.New(rand.NewPCG(uint64(i), 2))) {
			m := newMirror(t)
			for name, b := range g.old {
				if err := m.put(name, b, false); err != nil {
					t.Fatal(err)
				}
			}
			m.tick = func() {
				if len(names) > 0 {
					if err := m.put(names[0], g.grown[names[0]], true); err != nil {
						t.Error(err)
					}
					names = names[1:]
				}
			}
			r, err := audit.Run(t.Context(), m.sources()["server"], audit.Options{Trust: g.trust})
			if !errors.As(err, new(*client.IncompleteError)) && (err != nil || !r.OK) {
				t.Errorf("%d to %d, %s: %+v, %v", sizes[0], sizes[1], order, r, err)
			}
		}
	}
}

// TestMirrorSetBack: an older checkpoint over newer tiles contradicts nothing that a
// newer checkpoint has said. A damaged file stays a fault.
func TestMirrorSetBack(t *testing.T) {
	g, m := newGrowth(t, 100, 300), newMirror(t)
	for name, b := range g.grown {
		if err := m.put(name, b, false); err != nil {
			t.Fatal(err)
		}
	}
	newer, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	source := client.NewLogDir(m.dir)
	cp, err := source.SignedCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newer.Trust(t.Context(), cp, source, receipt.Source{}, receipt.VouchOperator, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := m.put(tiles.Checkpoint, g.old[tiles.Checkpoint], false); err != nil {
		t.Fatal(err)
	}
	for kind, source := range m.sources() {
		r, err := audit.Run(t.Context(), source, audit.Options{Trust: newer})
		if err != nil || r.Verdict == receipt.Contradicted || r.OK || len(r.Faults) > 0 {
			t.Errorf("%s, set back: %+v, %v", kind, r, err)
		}
	}
	for name, b := range g.grown {
		if name == tiles.Checkpoint || strings.HasPrefix(name, "tile/1/") || strings.Contains(name, "/001") {
			continue
		}
		spoilt := slices.Clone(b)
		spoilt[len(b)/5] ^= 1 // of the old tree
		if err := m.put(name, spoilt, false); err != nil {
			t.Fatal(err)
		}
		for kind, source := range m.sources() {
			if r, err := audit.Run(t.Context(), source, audit.Options{Trust: g.trust}); err != nil || r.Verdict != receipt.Invalid {
				t.Errorf("%s, damaged %s: %+v, %v", kind, name, r, err)
			}
		}
		if err := m.put(name, b, false); err != nil {
			t.Fatal(err)
		}
	}
}
