package main_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/receipt"
)

// attackForms presents checkpoints of forms that no signer makes.
func (s *siege) attackForms() {
	for _, tt := range []struct {
		name string
		note func(f *forge, by *forgedEpoch, note, line string) string
	}{
		{"its signature line twice", func(_ *forge, _ *forgedEpoch, note, line string) string { return note + line }},
		{"a wrong line of the same key behind it", func(f *forge, by *forgedEpoch, note, _ string) string {
			return note + f.line(by.open.CheckpointKey, make([]byte, 64))
		}},
		{"a wrong line of the same key before it", func(f *forge, by *forgedEpoch, note, line string) string {
			return strings.TrimSuffix(note, line) + f.line(by.open.CheckpointKey, make([]byte, 64)) + line
		}},
		{"33 signature lines", func(f *forge, _ *forgedEpoch, note, _ string) string {
			for range 32 {
				note += f.line(f.epoch().open.CheckpointKey, make([]byte, 64))
			}
			return note
		}},
		{"a thousand signature lines", func(f *forge, _ *forgedEpoch, note, _ string) string {
			for i := range 100 {
				note += f.line([32]byte{byte(i)}, make([]byte, 64))
			}
			return note
		}},
	} {
		s.attack("a checkpoint with "+tt.name, func(a *attack) {
			f := newForge(a.T)
			by := f.begin(f.epoch())
			index := f.accept(by)
			good := f.now(by)
			user := newVictim(a.T, "")
			a.want(user.trustAdd("--from-operator", f.save("checkpoint", good), "--log", f.dir(good)), accepted)
			line := good[strings.LastIndex(strings.TrimSuffix(good, "\n"), "\n")+1:]
			bad := tt.note(f, by, good, line)
			a.want(user.verify(f.file(f.receipt(index, by, by, good))), "valid")
			a.want(user.verify(f.file(f.receipt(index, by, by, bad))), invalid)
			a.want(user.audit("--dir", f.dir(bad)), invalid, unavailable)
			a.want(newVictim(a.T, "").trustAdd("--from-operator", f.save("checkpoint", bad), "--log", f.dir(good)), unavailable, invalid)
			a.want(user.td(2, "log", "checkpoint", "--dir", f.dir(bad)), unavailable, invalid)
		})
	}
	s.attack("a tree size that no tree has", func(a *attack) {
		c := s.scene
		f := forgeOf(a.T, c.ledger)
		by := f.begin(f.epoch())
		index := f.accept(by)
		for _, size := range []uint64{0, 1 << 40, 1 << 62, 1<<62 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
			lines := strings.Split(f.text(len(f.leaves)), "\n")
			lines[1] = strconv.FormatUint(size, 10)
			text := strings.Join(lines, "\n")
			note := text + "\n" + f.line(by.open.CheckpointKey, ed25519.Sign(by.key, []byte(text)))
			r := f.receipt(index, by, by, note)
			user := a.user()
			began := time.Now()
			a.want(user.verify(f.file(r)), invalid)
			a.want(user.verify(f.file(r), "--log", c.mirror, "--scan"), invalid)
			for _, p := range []*receipt.Pair{&r.Pair, &r.Claim, &r.Epoch, &r.Signer, &r.Last} {
				_, rest, _ := strings.Cut(p.Log, "\nindex ")
				_, rest, _ = strings.Cut(rest, "\n")
				p.Log = fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n%s", size-1, rest)
			}
			a.want(user.verify(f.file(r)), invalid)
			dir := f.dir(note)
			a.want(user.audit("--dir", dir), invalid, unavailable, unvouched, notFound)
			// Its tiles show the tree of the receipt, whatever its checkpoint states.
			a.want(user.verify(c.receipt, "--log", dir, "--scan"), unavailable, "valid")
			a.want(user.trustAdd("--from-operator", f.save("checkpoint", note), "--log", dir), unavailable, unvouched, invalid, notFound)
			if took := time.Since(began); took > commandTime/2 {
				a.Errorf("size %d: six commands took %v", size, took)
			}
		}
	})
	s.attack("a server whose answers do not end", func(a *attack) {
		c := s.scene
		zeros := make([]byte, 1<<16)
		for _, endless := range []string{"/checkpoint", "/tile/entries/", "/tile/0/"} {
			files := http.FileServer(http.Dir(c.ledger))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for strings.HasPrefix(r.URL.Path, endless) && r.Context().Err() == nil {
					_, _ = w.Write(zeros)
				}
				files.ServeHTTP(w, r)
			}))
			a.Cleanup(server.Close)
			a.want(a.user().verify(c.forged, "--log", server.URL), unvouched, unavailable)
			a.want(a.user().verify(c.early, "--log", server.URL, "--scan", "--strict"), unavailable, "valid")
			a.want(a.user().audit("--server", server.URL), invalid, unavailable)
		}
	})
	s.attack("a damaged or endless mirror", func(a *attack) {
		c := s.scene
		for name, spoil := range map[string]func(dir string) error{
			"checkpoint of a terabyte": func(dir string) error { return os.Truncate(filepath.Join(dir, "checkpoint"), 1<<40) },
			"empty checkpoint":         func(dir string) error { return os.Truncate(filepath.Join(dir, "checkpoint"), 0) },
			"no tiles":                 func(dir string) error { return os.RemoveAll(filepath.Join(dir, "tile")) },
			"entries of zero bytes":    func(dir string) error { return eachFile(filepath.Join(dir, "tile", "entries"), zeroed) },
			"tiles of zero bytes":      func(dir string) error { return eachFile(filepath.Join(dir, "tile", "0"), zeroed) },
			"tiles of a terabyte": func(dir string) error {
				return eachFile(filepath.Join(dir, "tile"), func(path string) error { return os.Truncate(path, 1<<40) })
			},
		} {
			dir := copyOf(a.T, c.ledger)
			a.must(spoil(dir))
			a.Log(name)
			a.want(a.user().verify(c.forged, "--log", dir), unvouched, unavailable)
			a.want(a.user().verify(c.early, "--log", dir, "--scan", "--strict"), unavailable, "valid")
			a.want(a.user().audit("--dir", dir), invalid, unavailable, notFound)
		}
	})
}

func zeroed(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, make([]byte, info.Size()), 0o600)
}

func eachFile(dir string, change func(path string) error) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return change(path)
	})
}
