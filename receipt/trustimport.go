package receipt

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"
)

// suffixV1 is appended to the name of an imported file of version 1.
const suffixV1 = ".v1"

// Import takes the records of a trust file of version 1 over as unauthenticated,
// the greatest sizes first, and returns its origin and how many were taken.
// Every signature is verified. A file that stands in the store's own place is
// kept beside the new one, as NAME.trust.v1.
func (t *TrustStore) Import(path string, now time.Time) (origin string, n int, err error) {
	b, err := os.ReadFile(path)
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
		text := trustHeader + origin + "\n"
		records = newest(records, MaxUnauthenticated)
		for i := range records {
			text += records[i].String()
		}
		if err := os.Link(place, place+suffixV1); err != nil && !sameFile(place, place+suffixV1) {
			return "", 0, err
		}
		return origin, len(records), t.write(place, text, os.Rename)
	}
	k, err := t.load(place)
	if err != nil {
		return "", 0, err
	}
	records = slices.DeleteFunc(records, func(r record) bool {
		return slices.ContainsFunc(k.loose, func(o record) bool { return o.size == r.size && o.root == r.root && o.key == r.key })
	})
	records = newest(records, MaxUnauthenticated-len(k.loose))
	return origin, len(records), t.append(origin, records...)
}

// parseV1 reads a trust file of version 1. There, a line that is no record
// stands for nothing.
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

// newest returns the n records of the greatest sizes, in order of size.
func newest(records []record, n int) []record {
	slices.SortStableFunc(records, func(a, b record) int { return cmp.Compare(a.size, b.size) })
	return records[max(0, len(records)-max(0, n)):]
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}
