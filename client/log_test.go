package client_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

type hash = [32]byte

func hashOf(entry []byte) hash { return sha256.Sum256(append([]byte{0}, entry...)) }

func nodeHash(l, r hash) hash {
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func entries(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = fmt.Append(nil, "leaf ", i)
	}
	return all
}

func leaves(n int) []hash {
	all := make([]hash, n)
	for i, e := range entries(n) {
		all[i] = hashOf(e)
	}
	return all
}

// root is MTH of RFC 6962, written out.
func root(l []hash) hash {
	if len(l) == 1 {
		return l[0]
	}
	k := 1
	for 2*k < len(l) {
		k *= 2
	}
	return nodeHash(root(l[:k]), root(l[k:]))
}

// files builds checkpoint, tiles and entry bundles of a tree of these entries.
func files(entries [][]byte) map[string][]byte {
	l := make([]hash, len(entries))
	for i, e := range entries {
		l[i] = hashOf(e)
	}
	all := map[string][]byte{"checkpoint": fmt.Appendf(nil, "test/log\n%d\n%s\n\n", len(l), base64.StdEncoding.EncodeToString(make([]byte, 32)))}
	for i := 0; i < len(entries); i += 256 {
		var b []byte
		part := entries[i:min(i+256, len(entries))]
		for _, e := range part {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
		}
		all["tile/entries/"+name(i/256, len(part))] = b
	}
	for level, row := 0, l; len(row) > 0; level++ {
		var up []hash
		for i := 0; i < len(row); i += 256 {
			part := row[i:min(i+256, len(row))]
			var b []byte
			for _, h := range part {
				b = append(b, h[:]...)
			}
			all[fmt.Sprintf("tile/%d/%s", level, name(i/256, len(part)))] = b
			if len(part) == 256 {
				up = append(up, root(part))
			}
		}
		row = up
	}
	return all
}

// name is the path of C2SP tlog-tiles for number n of some width.
func name(n, width int) string {
	s := fmt.Sprintf("%03d", n%1000)
	if n >= 1000 {
		s = fmt.Sprintf("x%03d/%s", n/1000, s)
	}
	if width < 256 {
		s += fmt.Sprintf(".p/%d", width)
	}
	return s
}

// write puts files into a new directory.
func write(t *testing.T, all map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shown computes both roots from the hashes of a prefix proof, by the definition
// of SUBPROOF in RFC 6962 section 2.1.2; it shares nothing with the code that
// makes proofs.
func shown(from, to int, proof []hash) (small, large hash, ok bool) {
	if len(proof) == 0 {
		return small, large, false
	}
	if from == to {
		return proof[0], proof[0], len(proof) == 1
	}
	k := 1
	for 2*k < to {
		k *= 2
	}
	last, rest := proof[len(proof)-1], proof[:len(proof)-1]
	if from <= k {
		small, large, ok = shown(from, k, rest)
		return small, nodeHash(large, last), ok
	}
	small, large, ok = shown(from-k, to-k, rest)
	return nodeHash(last, small), nodeHash(last, large), ok
}

// included computes the root from a leaf and its path.
func included(index, size int, leaf hash, path []hash) (hash, bool) {
	if size == 1 {
		return leaf, len(path) == 0
	}
	if len(path) == 0 {
		return leaf, false
	}
	k := 1
	for 2*k < size {
		k *= 2
	}
	last, rest := path[len(path)-1], path[:len(path)-1]
	if index < k {
		h, ok := included(index, k, leaf, rest)
		return nodeHash(h, last), ok
	}
	h, ok := included(index-k, size-k, leaf, rest)
	return nodeHash(last, h), ok
}

func wantPrefix(t *testing.T, log *client.Log, all []hash, from, to int) {
	t.Helper()
	proof, err := log.Prefix(t.Context(), uint64(from), uint64(to))
	if err != nil {
		t.Fatalf("from %d to %d: %v", from, to, err)
	}
	if small, large, ok := shown(from, to, proof); !ok || small != root(all[:from]) || large != root(all[:to]) {
		t.Errorf("the proof from %d to %d does not hold", from, to)
	}
}

func wantEntry(t *testing.T, log *client.Log, all []hash, index, size int) {
	t.Helper()
	leaf, path, err := log.Entry(t.Context(), uint64(index), uint64(size))
	if err != nil {
		t.Fatalf("entry %d of %d: %v", index, size, err)
	}
	if got, ok := included(index, size, hashOf(leaf), path); !ok || got != root(all[:size]) {
		t.Errorf("entry %d is not in the tree of size %d", index, size)
	}
}

func TestProofsOfEverySize(t *testing.T) {
	const most = 20
	all := leaves(most)
	for newest := 1; newest <= most; newest++ {
		log := client.NewLogDir(write(t, files(entries(newest))))
		for size := 1; size <= newest; size++ {
			for from := 1; from <= size; from++ {
				wantPrefix(t, log, all, from, size)
				wantEntry(t, log, all, from-1, size)
			}
		}
	}
	proof, err := client.NewLogDir(write(t, files(entries(most)))).Prefix(t.Context(), 5, 9)
	if err != nil {
		t.Fatal(err)
	}
	proof[0][0] ^= 1
	if small, large, _ := shown(5, 9, proof); small == root(all[:5]) || large == root(all[:9]) {
		t.Error("the test's own verification accepts a wrong proof")
	}
}

func TestProofsOverManyTiles(t *testing.T) {
	all := leaves(66_000)
	log := client.NewLogDir(write(t, files(entries(66_000))))
	for _, pair := range [][2]int{{1, 66_000}, {255, 256}, {256, 257}, {256, 65_536}, {257, 66_000}, {65_535, 65_536}, {65_536, 66_000}, {65_537, 65_999}, {12_345, 54_321}, {65_999, 66_000}} {
		wantPrefix(t, log, all, pair[0], pair[1])
		wantEntry(t, log, all, pair[0], pair[1])
	}
	// A path with more than one group of digits.
	deep := client.NewLogDir(write(t, files(entries(300_000))))
	if _, _, err := deep.Entry(t.Context(), 299_999, 300_000); err != nil {
		t.Error(err)
	}
}

// TestFullTileForPartial: the log may have grown, and dropped the partial tile,
// since the checkpoint was read.
func TestFullTileForPartial(t *testing.T) {
	grown := files(entries(300))
	old := files(entries(200))
	for _, kind := range []string{"0", "entries"} {
		delete(old, "tile/"+kind+"/000.p/200")
		old["tile/"+kind+"/000"] = grown["tile/"+kind+"/000"]
	}
	log := client.NewLogDir(write(t, old))
	wantPrefix(t, log, leaves(300), 100, 200)
	wantEntry(t, log, leaves(300), 199, 200)
	if n := scan(t, log, 200); n != 200 {
		t.Errorf("%d leaves", n)
	}
}

// scan counts the leaves of a tree and wants them in order.
func scan(t *testing.T, log *client.Log, size uint64) (n uint64) {
	t.Helper()
	err := log.Leaves(t.Context(), size, func(index uint64, leaf []byte) error {
		if want := fmt.Sprint("leaf ", n); index != n || string(leaf) != want {
			t.Fatalf("leaf %d is %q", index, leaf)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLeaves(t *testing.T) {
	log := client.NewLogDir(write(t, files(entries(600))))
	for _, size := range []uint64{0, 1, 255, 256, 257, 512, 599, 600} {
		if n := scan(t, log, size); n != size {
			t.Errorf("%d leaves of %d", n, size)
		}
	}
	broken := errors.New("broken")
	n := 0
	err := log.Leaves(t.Context(), 600, func(uint64, []byte) error { n++; return broken })
	if !errors.Is(err, broken) || n != 1 {
		t.Errorf("%d leaves, %v", n, err)
	}
	if err := log.Leaves(t.Context(), 601, func(uint64, []byte) error { return nil }); err == nil {
		t.Error("leaves that the log does not have")
	}
}

func TestTile(t *testing.T) {
	all := leaves(600)
	log := client.NewLogDir(write(t, files(entries(600))))
	for n, width := range []int{256, 256, 88} {
		got, err := log.Tile(t.Context(), 0, uint64(n), 600)
		if err != nil || !slices.Equal(got, all[256*n:256*n+width]) {
			t.Errorf("tile %d: %d hashes, %v", n, len(got), err)
		}
	}
	if got, err := log.Tile(t.Context(), 1, 0, 600); err != nil || !slices.Equal(got, []hash{root(all[:256]), root(all[256:512])}) {
		t.Errorf("%d hashes, %v", len(got), err)
	}
	if _, err := log.Tile(t.Context(), 0, 3, 600); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("a tile outside of the tree: %v", err)
	}
}

func TestLogFaults(t *testing.T) {
	good := files(entries(300))
	longest := binary.BigEndian.AppendUint16(nil, 65535)
	for name, tt := range map[string]struct {
		spoil func(map[string][]byte)
		is    error
	}{
		"no checkpoint":       {func(f map[string][]byte) { delete(f, "checkpoint") }, protocol.CodeNotFound},
		"checkpoint no note":  {func(f map[string][]byte) { f["checkpoint"] = []byte("x") }, client.ErrLog},
		"checkpoint negative": {func(f map[string][]byte) { f["checkpoint"] = []byte("x\n-1\ny\n") }, client.ErrLog},
		"checkpoint too big":  {func(f map[string][]byte) { f["checkpoint"] = []byte("x\n9223372036854775808\ny\n") }, client.ErrLog},
		"checkpoint too long": {func(f map[string][]byte) { f["checkpoint"] = bytes.Repeat([]byte("x"), 1<<20) }, client.ErrLog},
		"no tile":             {func(f map[string][]byte) { delete(f, "tile/0/000") }, protocol.CodeNotFound},
		"short tile":          {func(f map[string][]byte) { f["tile/0/000"] = f["tile/0/000"][:8191] }, client.ErrLog},
		"long tile":           {func(f map[string][]byte) { f["tile/0/000"] = append(f["tile/0/000"], 0) }, client.ErrLog},
		"endless tile":        {func(f map[string][]byte) { f["tile/0/000"] = make([]byte, 1<<20) }, client.ErrLog},
		"empty tile":          {func(f map[string][]byte) { f["tile/0/001.p/44"] = nil }, client.ErrLog},
		"no bundle":           {func(f map[string][]byte) { delete(f, "tile/entries/001.p/44") }, protocol.CodeNotFound},
		"empty bundle":        {func(f map[string][]byte) { f["tile/entries/001.p/44"] = nil }, client.ErrLog},
		"half a length":       {func(f map[string][]byte) { f["tile/entries/001.p/44"] = append(f["tile/entries/001.p/44"], 0) }, client.ErrLog},
		"one entry more":      {func(f map[string][]byte) { f["tile/entries/001.p/44"] = append(f["tile/entries/001.p/44"], 0, 0) }, client.ErrLog},
		"cut short":           {func(f map[string][]byte) { b := f["tile/entries/001.p/44"]; f["tile/entries/001.p/44"] = b[:len(b)-1] }, client.ErrLog},
		"longer than it is":   {func(f map[string][]byte) { f["tile/entries/001.p/44"] = longest }, client.ErrLog},
		"endless bundle":      {func(f map[string][]byte) { f["tile/entries/001.p/44"] = make([]byte, 17<<20) }, client.ErrLog},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := maps.Clone(good)
			for n, b := range spoilt {
				spoilt[n] = slices.Clone(b)
			}
			tt.spoil(spoilt)
			log := client.NewLogDir(write(t, spoilt))
			_, _, err := log.Entry(t.Context(), 260, 300)
			if err == nil {
				_, err = log.Prefix(t.Context(), 100, 300)
			}
			if !errors.Is(err, tt.is) {
				t.Errorf("%v", err)
			}
		})
	}
	log := client.NewLogDir(write(t, good))
	if _, err := log.Prefix(t.Context(), 5, 301); !errors.As(err, new(*receipt.ShortError)) || !errors.Is(err, receipt.ErrNotShown) {
		t.Errorf("a log that is too small: %v", err)
	}
	for _, pair := range [][2]uint64{{0, 5}, {6, 5}, {5, 301}, {1, 1 << 63}} {
		if _, err := log.Prefix(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("a proof from %d to %d", pair[0], pair[1])
		}
	}
	for _, at := range [][2]uint64{{0, 0}, {5, 5}, {0, 301}, {1 << 63, 1 << 63}} {
		if _, _, err := log.Entry(t.Context(), at[0], at[1]); err == nil {
			t.Errorf("entry %d of %d", at[0], at[1])
		}
	}
}

// TestLogDirIsABox: nothing in a directory makes the reader leave it or wait.
func TestLogDirIsABox(t *testing.T) {
	good := files(entries(3))
	outside := filepath.Join(write(t, good), "checkpoint")
	for name, put := range map[string]func(path string) error{
		"a link out":  func(path string) error { return os.Symlink(outside, path) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a pipe":      mkfifo,
	} {
		t.Run(name, func(t *testing.T) {
			inside := maps.Clone(good)
			delete(inside, "checkpoint")
			dir := write(t, inside)
			if err := put(filepath.Join(dir, "checkpoint")); err != nil {
				t.Skip(err)
			}
			if _, err := client.NewLogDir(dir).Size(t.Context()); err == nil {
				t.Error("it was read")
			}
		})
	}
}

// openLeaf is an epoch-open leaf of a key.
func openLeaf(t *testing.T, seq uint64, key ed25519.PrivateKey) []byte {
	t.Helper()
	open := &protocol.EpochOpen{
		Number: 1, Instance: protocol.InstanceID{1}, CheckpointKey: [32]byte(key.Public().(ed25519.PublicKey)),
	}
	open.ID = protocol.DeriveEpochID(open.PublicKey[:], open.CheckpointKey)
	l := protocol.Leaf{Seq: seq, Time: 1, Body: open}
	raw, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// signed is the checkpoint of a tree under an Ed25519 key.
func signed(key ed25519.PrivateKey, size int, root hash) []byte {
	text := fmt.Sprintf("test/log\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(root[:]))
	public := key.Public().(ed25519.PublicKey)
	id := sha256.Sum256(append([]byte("test/log\n\x01"), public...))
	sig := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(id[:4]))
	sig = append(sig, ed25519.Sign(key, []byte(text))...)
	return []byte(text + "\n\u2014 test/log " + base64.StdEncoding.EncodeToString(sig) + "\n")
}

// epochLog is a log of one epoch, opened by leaf 10.
func epochLog(t *testing.T, size int) (map[string][]byte, []hash, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := entries(size)
	all[10] = openLeaf(t, 10, key)
	l := make([]hash, size)
	for i := range all {
		l[i] = hashOf(all[i])
	}
	tiles := files(all)
	tiles["checkpoint"] = signed(key, size, root(l))
	return tiles, l, key
}

func serveFiles(t *testing.T, tiles map[string][]byte) *client.Client {
	t.Helper()
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := tiles[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		media := "application/octet-stream"
		if r.URL.Path == "/checkpoint" {
			media = "text/plain; charset=utf-8"
		}
		w.Header().Set("Content-Type", media)
		w.Write(b)
	}))
	return newClient(t, base, client.Config{})
}

func TestSignedCheckpoint(t *testing.T) {
	tiles, l, key := epochLog(t, 700)
	before := signed(key, 600, root(l[:600]))
	for name, log := range map[string]*client.Log{"server": client.NewLog(serveFiles(t, tiles)), "directory": client.NewLogDir(write(t, tiles))} {
		cp, err := log.SignedCheckpoint(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if cp.Size != 700 || cp.Root != root(l) || cp.Key != [32]byte(key.Public().(ed25519.PublicKey)) || cp.Origin != "test/log" {
			t.Errorf("%s: %+v", name, cp)
		}
		if cp, err = log.VerifyCheckpoint(t.Context(), before); err != nil || cp.Size != 600 || cp.Epoch == nil || cp.EpochIndex != 10 {
			t.Errorf("%s, an earlier checkpoint: %+v, %v", name, cp, err)
		}
		if cp, err = log.VerifyCheckpoint(t.Context(), signed(key, 701, root(l))); !errors.As(err, new(*receipt.ShortError)) || !errors.Is(err, receipt.ErrNotShown) {
			t.Errorf("%s, a later checkpoint: %+v, %v", name, cp, err)
		}
		if cp, err = log.VerifyCheckpoint(t.Context(), signed(key, 10, root(l[:10]))); !errors.Is(err, client.ErrLog) {
			t.Errorf("%s, before its epoch: %+v, %v", name, cp, err)
		}
	}
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(map[string][]byte){
		"key of no epoch": func(f map[string][]byte) { f["checkpoint"] = signed(foreign, 700, root(l)) },
		"leaf not in the tree": func(f map[string][]byte) {
			f["checkpoint"] = signed(key, 700, hash{1})
		},
		"other leaf in the bundle": func(f map[string][]byte) {
			f["checkpoint"] = signed(foreign, 700, root(l))
			all := entries(700)
			all[10] = openLeaf(t, 10, foreign)
			f["tile/entries/000"] = files(all)["tile/entries/000"]
		},
		"empty log": func(f map[string][]byte) { f["checkpoint"] = signed(key, 0, hash{}) },
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := maps.Clone(tiles)
			spoil(spoilt)
			if cp, err := client.NewLogDir(write(t, spoilt)).SignedCheckpoint(t.Context()); !errors.Is(err, client.ErrLog) {
				t.Errorf("%+v, %v", cp, err)
			}
		})
	}
}

// TestLogConvincesATrustStore goes over HTTP into the store that verifies.
func TestLogConvincesATrustStore(t *testing.T) {
	tiles, l, key := epochLog(t, 700)
	c := serveFiles(t, tiles)
	log, now := client.NewLog(c), time.Unix(1_800_000_000, 0)
	store, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{300, 700, 256, 513} {
		cp, err := log.VerifyCheckpoint(t.Context(), signed(key, size, root(l[:size])))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 { // only a live read binds the server
			if _, err := store.Record(t.Context(), cp, log, receipt.Source{Server: c.Server()}, now); !errors.Is(err, receipt.ErrUnknownLog) {
				t.Errorf("first use of a mirror: %v", err)
			}
		}
		standing, err := store.Record(t.Context(), cp, log, c.Source(), now)
		if err != nil || standing.Server != c.Server() {
			t.Errorf("size %d: %+v, %v", size, standing, err)
		}
	}

	forked := entries(600)
	forked[10] = openLeaf(t, 10, key)
	forked[599] = []byte("another leaf")
	files := files(forked)
	hashes := make([]hash, len(forked))
	for i := range forked {
		hashes[i] = hashOf(forked[i])
	}
	files["checkpoint"] = signed(key, 600, root(hashes))
	other, err := client.NewLogDir(write(t, files)).SignedCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var contradiction *receipt.ContradictionError
	if _, err := store.Check(t.Context(), other, log, c.Source()); !errors.As(err, &contradiction) || !contradiction.Vouched {
		t.Errorf("a fork passes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Check(ctx, other, log, c.Source()); err == nil || errors.As(err, &contradiction) {
		t.Errorf("a log that was not read shows a fork: %v", err)
	}
}
