package receipt

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// suffixV1 is appended to the name of an imported file of version 1.
const suffixV1 = ".v1"

// Import copies the records of a trust file of version 1 as unauthenticated,
// the greatest sizes first. It returns its origin and how many were taken.
// Every signature is verified. If the file is in the store's own place, it is
// kept beside the new one, as NAME.trust.v1.
func (t *TrustStore) Import(path string, now time.Time) (origin string, n int, err error) {
	b, err := readTrustFile(path)
	if err != nil {
		return "", 0, err
	}
	origin, records, err := parseV1(path, string(b), now)
	if err != nil {
		return "", 0, err
	}
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return "", 0, err
	}
	unlock, err := lockFile(t.name(origin) + lockSuffix)
	if err != nil {
		return "", 0, err
	}
	defer unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	place := t.path(origin)
	if sameFile(path, place) {
		if again, err := os.ReadFile(filepath.Clean(place)); err != nil || string(again) != string(b) {
			return "", 0, errors.Join(errors.New("the trust file was changed while it was read"), err)
		}
		text := trustHeader + origin + "\n"
		records = unrecorded(records, nil)
		for i := range records {
			text += records[i].String()
		}
		if err := os.Link(place, place+suffixV1); err != nil && !sameFile(place, place+suffixV1) {
			return "", 0, err
		}
		if len(records) == 0 {
			return origin, 0, os.Remove(place)
		}
		return origin, len(records), t.write(place, text, os.Rename)
	}
	k, err := t.load(place)
	if err != nil {
		return "", 0, err
	}
	records = unrecorded(records, k.loose)
	if len(records) == 0 {
		return origin, 0, nil
	}
	return origin, len(records), t.append(origin, records...)
}

// maxTrustFile bounds a file to import, in bytes: more than version 1 could
// write.
const maxTrustFile = 128 << 20

func readTrustFile(path string) ([]byte, error) {
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxTrustFile:
		return nil, &DamagedError{path, 1, "is not the header of a trust file of version 1"}
	}
	return os.ReadFile(filepath.Clean(path))
}

// parseV1 reads a trust file of version 1. It ignores lines that are not records,
// as version 1 did.
func parseV1(path, text string, now time.Time) (origin string, records []record, err error) {
	line := 0
	for l := range strings.Lines(text) {
		line++
		if line == 1 {
			var ok bool
			origin, ok = strings.CutPrefix(strings.TrimSuffix(l, "\n"), trustHeaderV1)
			if !ok || !isOrigin(origin) {
				return "", nil, &DamagedError{path, line, "is not the header of a trust file of version 1"}
			}
			continue
		}
		f := strings.Fields(l)
		if len(f) != 5 || !strings.HasSuffix(l, "\n") {
			continue
		}
		r, ok := parseSigned(f)
		if !ok {
			continue
		}
		if !r.genuine(origin) {
			return "", nil, &DamagedError{path, line, "has a wrong signature"}
		}
		r.how, r.time = VouchNone, max(0, now.Unix())
		records = append(records, r)
	}
	if line == 0 {
		return "", nil, &DamagedError{path, 1, "is not the header of a trust file of version 1"}
	}
	return origin, records, nil
}

// unrecorded returns the records that the file has room for as
// unauthenticated: different ones, the greatest sizes, in order of size.
func unrecorded(records, loose []record) []record {
	type signed struct {
		of  tree
		key [32]byte
	}
	seen := map[signed]bool{}
	known := func(r record) bool {
		s := signed{tree{r.size, r.root}, r.key}
		was := seen[s]
		seen[s] = true
		return was
	}
	for _, r := range loose {
		known(r)
	}
	records = slices.DeleteFunc(records, known)
	slices.SortStableFunc(records, func(a, b record) int { return cmp.Compare(a.size, b.size) })
	return records[len(records)-min(len(records), max(0, MaxUnauthenticated-len(loose))):]
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}
