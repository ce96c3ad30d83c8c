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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/receipt"
)

type hash = [32]byte

func leafHash(i int) hash {
	return sha256.Sum256(append([]byte{0}, fmt.Sprint("leaf ", i)...))
}

func nodeHash(l, r hash) hash {
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func leaves(n int) []hash {
	all := make([]hash, n)
	for i := range all {
		all[i] = leafHash(i)
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

// files builds checkpoint and tiles of a tree.
func files(l []hash) map[string][]byte {
	all := map[string][]byte{"checkpoint": fmt.Appendf(nil, "test/log\n%d\n%s\n\n", len(l), base64.StdEncoding.EncodeToString(make([]byte, 32)))}
	for level, row := 0, l; len(row) > 0; level++ {
		for i := 0; i < len(row); i += 256 {
			part := row[i:min(i+256, len(row))]
			n := i / 256
			name := fmt.Sprintf("%03d", n%1000)
			if n >= 1000 {
				name = fmt.Sprintf("x%03d/%s", n/1000, name)
			}
			if len(part) < 256 {
				name += fmt.Sprintf(".p/%d", len(part))
			}
			var b []byte
			for _, h := range part {
				b = append(b, h[:]...)
			}
			all[fmt.Sprintf("tile/%d/%s", level, name)] = b
		}
		var up []hash
		for i := 0; i+256 <= len(row); i += 256 {
			up = append(up, root(row[i:i+256]))
		}
		row = up
	}
	return all
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

// consistent is the verification of RFC 9162 section 2.1.4.2, step by step; it
// shares nothing with the code that makes proofs.
func consistent(first, second int, firstRoot, secondRoot hash, proof []hash) bool {
	if first&(first-1) == 0 {
		proof = append([]hash{firstRoot}, proof...)
	}
	if len(proof) == 0 {
		return false
	}
	fn, sn := first-1, second-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	fr, sr := proof[0], proof[0]
	for _, c := range proof[1:] {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = nodeHash(c, fr), nodeHash(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = nodeHash(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	return fr == firstRoot && sr == secondRoot && sn == 0
}

func TestConsistencyOfEveryPairOfSizes(t *testing.T) {
	const most = 20
	all := leaves(most)
	for size := 2; size <= most; size++ {
		log := client.NewLogDir(write(t, files(all[:size])))
		for to := 2; to <= size; to++ {
			for from := 1; from < to; from++ {
				proof, err := log.Consistency(t.Context(), uint64(from), uint64(to))
				if err != nil {
					t.Fatal(err)
				}
				if !consistent(from, to, root(all[:from]), root(all[:to]), proof) {
					t.Errorf("proof from %d to %d in a tree of %d does not hold", from, to, size)
				}
				if consistent(from, to, root(all[1:from+1]), root(all[:to]), proof) {
					t.Fatalf("the test's own verification accepts a wrong root")
				}
			}
		}
	}
}

func TestConsistencyOverManyTiles(t *testing.T) {
	all := leaves(66_000)
	tiles := files(all)
	log := client.NewLogDir(write(t, tiles))
	for _, pair := range [][2]int{{1, 66_000}, {255, 256}, {256, 257}, {256, 65_536}, {257, 66_000}, {65_535, 65_536}, {65_536, 66_000}, {65_537, 65_999}, {12_345, 54_321}, {65_999, 66_000}} {
		proof, err := log.Consistency(t.Context(), uint64(pair[0]), uint64(pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		if !consistent(pair[0], pair[1], root(all[:pair[0]]), root(all[:pair[1]]), proof) {
			t.Errorf("proof from %d to %d does not hold", pair[0], pair[1])
		}
	}
	// A path with more than one group of digits.
	deep := client.NewLogDir(write(t, files(leaves(300_000))))
	if _, err := deep.Consistency(t.Context(), 299_999, 300_000); err != nil {
		t.Error(err)
	}
}

// TestFullTileForPartial: the log may have grown, and dropped the partial tile,
// since the checkpoint was read.
func TestFullTileForPartial(t *testing.T) {
	all := leaves(300)
	tiles := files(all[:200])
	delete(tiles, "tile/0/000.p/200")
	tiles["tile/0/000"] = files(all)["tile/0/000"]
	proof, err := client.NewLogDir(write(t, tiles)).Consistency(t.Context(), 100, 200)
	if err != nil || !consistent(100, 200, root(all[:100]), root(all[:200]), proof) {
		t.Errorf("%v", err)
	}
}

func TestLogFaults(t *testing.T) {
	good := files(leaves(300))
	for name, spoil := range map[string]func(map[string][]byte){
		"no checkpoint":       func(f map[string][]byte) { delete(f, "checkpoint") },
		"checkpoint no note":  func(f map[string][]byte) { f["checkpoint"] = []byte("x") },
		"checkpoint negative": func(f map[string][]byte) { f["checkpoint"] = []byte("x\n-1\ny\n") },
		"checkpoint too long": func(f map[string][]byte) { f["checkpoint"] = bytes.Repeat([]byte("x"), 1<<20) },
		"smaller tree":        func(f map[string][]byte) { f["checkpoint"] = []byte("x\n299\ny\n") },
		"no tile":             func(f map[string][]byte) { delete(f, "tile/0/000") },
		"short tile":          func(f map[string][]byte) { f["tile/0/000"] = f["tile/0/000"][:8191] },
		"empty tile":          func(f map[string][]byte) { f["tile/0/001.p/44"] = nil },
	} {
		spoilt := map[string][]byte{}
		for n, b := range good {
			spoilt[n] = b
		}
		spoil(spoilt)
		if _, err := client.NewLogDir(write(t, spoilt)).Consistency(t.Context(), 100, 300); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	log := client.NewLogDir(write(t, good))
	for _, pair := range [][2]uint64{{0, 5}, {5, 5}, {6, 5}, {5, 301}, {1, 1 << 63}} {
		if _, err := log.Consistency(t.Context(), pair[0], pair[1]); err == nil {
			t.Errorf("%v: no error", pair)
		}
	}
}

// signedCheckpoint is a C2SP checkpoint under an Ed25519 key.
func signedCheckpoint(t *testing.T, key ed25519.PrivateKey, size int, root hash) *receipt.Checkpoint {
	t.Helper()
	text := fmt.Sprintf("test/log\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(root[:]))
	public := key.Public().(ed25519.PublicKey)
	id := sha256.Sum256(append([]byte("test/log\n\x01"), public...))
	sig := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(id[:4]))
	sig = append(sig, ed25519.Sign(key, []byte(text))...)
	c, err := receipt.ParseCheckpoint(text+"\n\u2014 test/log "+base64.StdEncoding.EncodeToString(sig)+"\n", [32]byte(public))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLogConvincesATrustStore goes over HTTP into the store that verifies.
func TestLogConvincesATrustStore(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := leaves(700)
	tiles := files(all)
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
	c, err := client.New(base, client.Config{Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	store, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log, now := client.NewLog(c), time.Unix(1_800_000_000, 0)
	for _, size := range []int{300, 700, 256, 513} {
		if err := store.Pin(t.Context(), signedCheckpoint(t, key, size, root(all[:size])), log, now); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
	forked := signedCheckpoint(t, key, 600, root(append(leaves(599), hash{})))
	var split *receipt.SplitViewError
	if err := store.Check(t.Context(), forked, log); !errors.As(err, &split) {
		t.Errorf("a fork passes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Check(ctx, signedCheckpoint(t, key, 600, root(all[:600])), log); err == nil {
		t.Error("no error without a log")
	}
}
