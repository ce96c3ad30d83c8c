package cosign_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/receipt"
)

const boundURL = "https://log.example:443"

// now is the time of every request.
var now = time.Unix(1_900_000_000, 0)

// source is a log in a directory in the place of its server.
type source struct {
	*client.Log
	live bool
}

func (s source) Source() receipt.Source {
	if !s.live {
		return receipt.Source{}
	}
	return receipt.Source{Live: true, Server: boundURL}
}

// world is a cosigner, a log that it was added for, and the log's server.
type world struct {
	t        *testing.T
	log      *logtest.Log
	epoch    *logtest.Epoch // in which the log was added
	size     uint64         // at which it was added
	store    *cosign.Store
	cosigner *cosign.Cosigner

	shown source // what the bound server shows; read errors if it has no log
	reads int    // times the server was opened
}

// newWorld returns a cosigner that was added to a log of 300 leaves, which spans two
// bundles, live at its bound server.
func newWorld(t *testing.T, onBreak cosign.OnBreak) *world {
	t.Helper()
	w := &world{t: t, log: logtest.New()}
	grow(w.log, 300)
	w.epoch, w.size = w.log.Epochs[0], w.log.Size()
	w.cosigner = cosign.New(cosign.Config{
		Signer: newKey(t, "alice.example"), OnBreak: onBreak,
		Open: func(server string) (cosign.Source, error) {
			if server != boundURL {
				t.Errorf("%s was opened", server)
			}
			w.reads++
			return w.shown, nil
		},
	})
	w.begin(w.size)
	w.show(w.log, w.epoch, true)
	return w
}

// begin has the cosigner begin, with a new memory in a file, at a size of the log.
func (w *world) begin(size uint64) (path string) {
	w.t.Helper()
	path = filepath.Join(w.t.TempDir(), "cosigner.db")
	w.must(cosign.Create(w.t.Context(), path))
	w.store = openStore(w.t, path)
	w.cosigner.Store = w.store
	w.must(w.store.Add(w.t.Context(), logtest.Origin, boundURL, head(w.log, size, w.epoch), now))
	return path
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func openStore(t *testing.T, path string) *cosign.Store {
	t.Helper()
	s, err := cosign.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newKey(t *testing.T, name string) *cosign.Key {
	t.Helper()
	k, err := cosign.NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// show makes the bound server show a log.
func (w *world) show(l *logtest.Log, by *logtest.Epoch, live bool) {
	dir := w.t.TempDir()
	l.Write(dir, by)
	w.shown = source{client.NewLogDir(dir), live}
}

// showNothing makes the bound server fail.
func (w *world) showNothing() {
	w.shown = source{client.NewLogDir(filepath.Join(w.t.TempDir(), "absent")), true}
}

// submit asks for the cosignature of a log's checkpoint of a size, with a proof from the
// newest cosigned one.
func (w *world) submit(l *logtest.Log, size uint64, by *logtest.Epoch) (string, error) {
	w.t.Helper()
	kept, err := w.store.Log(w.t.Context(), logtest.Origin)
	w.must(err)
	return w.add(addcheckpoint.Request{Old: kept.Head.Size, Proof: proof(w.t, l, kept.Head.Size, size), Note: l.Note(size, by)})
}

func (w *world) add(r addcheckpoint.Request) (string, error) {
	return w.cosigner.Add(w.t.Context(), r, now)
}

// head returns the head of the store.
func (w *world) head() receipt.Head {
	w.t.Helper()
	l, err := w.store.Log(context.Background(), logtest.Origin)
	w.must(err)
	return l.Head
}

// grow appends leaves without a meaning until the log has a size.
func grow(l *logtest.Log, size uint64) {
	for l.Size() < size {
		l.AddRaw([]byte{byte(l.Size()), byte(l.Size() >> 8)})
	}
}

func head(l *logtest.Log, size uint64, by *logtest.Epoch) receipt.Head {
	return receipt.Head{Size: size, Root: l.Tree.RootAt(size), Key: by.Open.CheckpointKey}
}

// proof is the consistency proof of RFC 6962 between two sizes; none if there can be none.
func proof(t *testing.T, l *logtest.Log, from, to uint64) tlog.TreeProof {
	t.Helper()
	if from >= to || to > l.Size() {
		return nil
	}
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, n := range indexes {
			out[i] = hashes[n]
		}
		return out, nil
	})
	for i, raw := range l.Leaves {
		more, err := tlog.StoredHashes(int64(i), raw, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
	}
	p, err := tlog.ProveTree(int64(to), int64(from), read)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// without returns a note without its signature lines.
func without(note string) string { return note[:strings.LastIndex(note, "\n\n")+1] }
