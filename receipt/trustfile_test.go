package receipt_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// plain is a log of one epoch, with checkpoints of every size.
type plain struct {
	*world
	e *epochKey
}

func newPlain(tb testing.TB, leaves int) *plain {
	tb.Helper()
	w := newWorld(tb)
	l := &plain{w, w.openEpoch(nil, 0)}
	l.grow(leaves - 1)
	return l
}

func (l *plain) cp(size uint64) *receipt.Checkpoint {
	l.t.Helper()
	return l.at(size, l.e)
}

// store returns a store that has recorded the given sizes live.
func (l *plain) store(tb testing.TB, sizes ...uint64) *receipt.TrustStore {
	tb.Helper()
	trust := openTrust(tb, filepath.Join(tb.TempDir(), "trust"))
	for _, size := range sizes {
		if _, err := trust.Record(tb.Context(), l.cp(size), l, live, now); err != nil {
			tb.Fatal(err)
		}
	}
	return trust
}

func TestTrustFileFormat(t *testing.T) {
	l := newPlain(t, 9)
	trust := l.store(t, 5, 7)
	if _, err := trust.Record(t.Context(), l.cp(9), failingLog{}, mirror, now); !errors.Is(err, errLog) {
		t.Fatal(err)
	}
	if _, err := trust.Trust(t.Context(), l.cp(6), l, file, receipt.VouchOperator, now); err != nil {
		t.Fatal(err)
	}
	signature := func(size uint64) string {
		note := string(l.checkpoint(size, l.signer(l.e)))
		return strings.TrimSuffix(note[strings.LastIndex(note, " ")+1:], "\n")
	}
	root := func(size uint64) string { h := l.root(size); return base64.StdEncoding.EncodeToString(h[:]) }
	key := base64.StdEncoding.EncodeToString(l.e.open.CheckpointKey[:])
	want := "terradourada-trust/2 " + testOrigin + "\n" +
		fmt.Sprintf("5 %s %s %s %d live %s\n", root(5), key, signature(5), now.Unix(), testServer) +
		fmt.Sprintf("7 %s %s %s %d live %s\n", root(7), key, signature(7), now.Unix(), testServer) +
		fmt.Sprintf("9 %s %s %s %d unauthenticated %s\n", root(9), key, signature(9), now.Unix(), mirror.Server) +
		fmt.Sprintf("6 %s %s %s %d operator -\n", root(6), key, signature(6), now.Unix())
	if got := content(t, trust); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	known, err := trust.List()
	if err != nil || len(known) != 1 {
		t.Fatalf("List: %v, %v", known, err)
	}
	if got := (receipt.KnownLog{
		Origin: testOrigin, File: trust.Path(testOrigin), Size: 7, Root: l.root(7), Key: l.e.open.CheckpointKey,
		When: now, How: receipt.VouchLive, Server: testServer, Vouched: 3, Unauthenticated: 1,
	}); known[0] != got {
		t.Errorf("List: got %+v, want %+v", known[0], got)
	}
	checkFiles(t, filepath.Dir(trust.Path(testOrigin)))
}

// A damaged file is refused by readers and writers, and nothing is appended to
// it.
func TestDamagedTrustFile(t *testing.T) {
	l := newPlain(t, 20)
	other := newWorld(t)
	other.origin = "terradourada/other"
	otherEpoch := other.openEpoch(nil, 0)
	fork := l.fork(4)
	fork.grow(10)
	forked := fork.at(7, l.e)
	good := content(t, l.store(t, 5, 7))
	lines := strings.SplitAfter(good, "\n")
	header, five, seven := lines[0], lines[1], lines[2]
	replace := func(line, old, with string) string {
		if !strings.Contains(line, old) {
			t.Fatalf("%q has no %q", line, old)
		}
		return strings.Replace(line, old, with, 1)
	}
	field := func(line string, n int, with string) string {
		f := strings.Split(line, " ")
		f[n] = with
		return strings.Join(f, " ")
	}
	for name, tt := range map[string]struct {
		text, reason string
		line         int
	}{
		"empty":                  {"", "header", 1},
		"a NUL byte":             {"\x00", "header", 1},
		"all NUL bytes":          {strings.Repeat("\x00", len(good)), "header", 1},
		"NUL bytes, many":        {strings.Repeat("\x00", 1<<16), "header", 1},
		"a line end":             {"\n" + good, "header", 1},
		"no header":              {five + seven, "header", 1},
		"half a header":          {header[:len(header)-3], "header", 1},
		"header without its end": {strings.TrimSuffix(header, "\n"), "header", 1},
		"header with CRLF":       {replace(header, "\n", "\r\n") + five, "header", 1},
		"header of another log":  {replace(header, testOrigin, "other") + five, "another log", 1},
		"no origin":              {"terradourada-trust/2 \n" + five, "header", 1},
		"version 1":              {replace(header, "/2", "/1") + five, "td trust import", 1},
		"version 3":              {replace(header, "/2", "/3") + five, "header", 1},
		"the header alone":       {header, "lost its records", 2},
		"the header, torn first": {header + five[:40], "lost its records", 2},
		"a line of rubbish":      {good + "rubbish\n", "no record", 4},
		"an empty line":          {header + five + "\n" + seven, "no record", 3},
		"NUL bytes in between":   {header + five + "\x00\x00\n" + seven, "no record", 3},
		"a line without an end":  {header + five[:len(five)-1] + seven, "no record", 2},
		"half a line in between": {header + five[:40] + "\n" + seven, "no record", 2},
		"a very long line":       {good + strings.Repeat("x", 10_000), "no record", 4},
		"the header again":       {header + header + five, "no record", 2},
		"a record of version 1":  {header + strings.Join(strings.Split(five, " ")[:5], " ") + "\n", "no record", 2},
		"two spaces":             {header + replace(five, " ", "  "), "no record", 2},
		"CRLF":                   {header + replace(five, "\n", "\r\n"), "no record", 2},
		"size 0":                 {header + field(five, 0, "0"), "no record", 2},
		"size 05":                {header + field(five, 0, "05"), "no record", 2},
		"size -5":                {header + field(five, 0, "-5"), "no record", 2},
		"size too large":         {header + field(five, 0, "9223372036854775808"), "no record", 2},
		"no root":                {header + field(five, 1, ""), "no record", 2},
		"root with low bits":     {header + field(five, 1, lowBits(strings.Split(five, " ")[1])), "no record", 2},
		"short key":              {header + field(five, 2, "AAAA"), "no record", 2},
		"no signature":           {header + field(five, 3, "AAAA"), "no record", 2},
		"unknown way":            {header + field(five, 5, "lived"), "no record", 2},
		"no server":              {header + field(five, 6, "\n"), "no record", 2},
		"server with a tab":      {header + field(five, 6, "a\tb\n"), "no record", 2},
		"two histories":          {good + field(five, 0, "7"), "contradicts line 3", 4},
		"another size":           {header + field(five, 0, "8"), "signature", 2},
		"another root":           {header + field(five, 1, strings.Split(seven, " ")[1]), "signature", 2},
		"another signature":      {header + field(five, 3, strings.Split(seven, " ")[3]), "signature", 2},
		"another key": {header + field(five, 2, base64.StdEncoding.EncodeToString(
			otherEpoch.open.CheckpointKey[:])), "signature", 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			trust := openTrust(t, dir)
			path := trust.Path(testOrigin)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			size := uint64(7)
			calls := map[string]func() error{
				"Check": func() error { _, err := trust.Check(t.Context(), l.cp(size), l, file); return err },
				"fork":  func() error { _, err := trust.Check(t.Context(), forked, fork, file); return err },
				"Record": func() error {
					_, err := trust.Record(t.Context(), l.cp(size), l, live, now)
					return err
				},
				"Trust": func() error {
					_, err := trust.Trust(t.Context(), l.cp(size), l, live, receipt.VouchLive, now)
					return err
				},
				"Newest": func() error { _, _, _, err := trust.Newest(testOrigin); return err },
				"List":   func() error { _, err := trust.List(); return err },
				"Notes":  func() error { _, err := trust.Notes(testOrigin); return err },
				// It might bind the server to its own log.
				"another log": func() error {
					_, err := trust.Record(t.Context(), other.at(1, otherEpoch), nil, live, now)
					if strings.Contains(tt.reason, "import") && err == nil {
						return &receipt.DamagedError{File: path, Line: 1, Reason: tt.reason} // version 1 binds nothing
					}
					return err
				},
			}
			for verb, call := range calls {
				err := call()
				var d *receipt.DamagedError
				if !errors.As(err, &d) || d.File != path || d.Line != tt.line || !strings.Contains(d.Reason, tt.reason) {
					t.Errorf("%s: got %v, want damage in line %d about %q", verb, err, tt.line, tt.reason)
				}
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != tt.text {
				t.Errorf("the file was changed: %v", err)
			}
			// Verification for other logs still works.
			s, err := trust.Check(t.Context(), other.at(1, otherEpoch), nil, file)
			if v1 := strings.Contains(tt.reason, "import"); !v1 && len(s.Warnings) != 1 || !v1 && !errors.Is(err, receipt.ErrUnknownLog) {
				t.Errorf("another log: %v, warnings %q", err, s.Warnings)
			}
		})
	}
	t.Run("a directory", func(t *testing.T) {
		trust := openTrust(t, t.TempDir())
		if err := os.Mkdir(trust.Path(testOrigin), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := trust.Check(t.Context(), l.cp(3), nil, file); err == nil || errors.Is(err, receipt.ErrUnknownLog) {
			t.Errorf("counts as none: %v", err)
		}
	})
}

// A last line without its end is ignored by readers and cut off by the next
// writer, wherever the write was interrupted.
func TestTornTrustFile(t *testing.T) {
	l := newPlain(t, 20)
	good := content(t, l.store(t, 5, 7))
	second := strings.LastIndex(good[:len(good)-1], "\n") + 1
	for cut := second; cut < len(good); cut += 9 {
		for _, tail := range []string{"", "\x00\x00\x00", strings.Repeat("x", 900)} {
			trust := openTrust(t, t.TempDir())
			torn := good[:cut] + tail
			if err := os.WriteFile(trust.Path(testOrigin), []byte(torn), 0o600); err != nil {
				t.Fatal(err)
			}
			for size, want := range map[uint64]string{5: "recorded", 7: "not shown"} {
				if s, err := trust.Check(t.Context(), l.cp(size), nil, file); outcome(s, err) != want {
					t.Fatalf("cut at %d, size %d: got %s (%v), want %s", cut, size, outcome(s, err), err, want)
				}
			}
			if content(t, trust) != torn {
				t.Fatal("Check wrote")
			}
			if s, err := trust.Record(t.Context(), l.cp(9), l, live, now); outcome(s, err) != "same_key" {
				t.Fatalf("cut at %d: got %s (%v)", cut, outcome(s, err), err)
			}
			got := content(t, trust)
			if !strings.HasPrefix(got, good[:second]+"9 ") || strings.Count(got, "\n") != 3 || !strings.HasSuffix(got, "\n") {
				t.Fatalf("cut at %d: file is %q", cut, got)
			}
		}
	}
}

// Whatever bit of a file is changed, the file does not accuse a log and no
// other history is believed because of it.
func TestEveryBitOfATrustFile(t *testing.T) {
	l := newPlain(t, 20)
	good := content(t, l.store(t, 5, 7))
	dir := t.TempDir()
	path := openTrust(t, dir).Path(testOrigin)
	fork := l.fork(4)
	fork.grow(10)
	foreign, thief := l.intruder(4, 2)
	genuine := map[uint64]*receipt.Checkpoint{5: l.cp(5), 7: l.cp(7), 9: l.cp(9)}
	forks := []*receipt.Checkpoint{fork.at(7, l.e), foreign.at(9, thief)}
	step := 1
	if testing.Short() {
		step = 5
	}
	for i := 0; i < len(good); i += step {
		b := []byte(good)
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		trust := openTrust(t, dir)
		for size, c := range genuine {
			s, err := trust.Check(t.Context(), c, l, file)
			switch got := outcome(s, err); got {
			case "recorded", "same_key", "prefix", "damaged":
			default:
				t.Fatalf("byte %d (%q): size %d is %s (%v)", i, b[max(0, i-10):i+1], size, got, err)
			}
		}
		for _, c := range forks {
			s, err := trust.Check(t.Context(), c, fork, live)
			switch got := outcome(s, err); got {
			case "damaged", "contradicted", "contradicts, unvouched", "not shown", "bound":
			default:
				t.Fatalf("byte %d: the fork of size %d is %s (%v)", i, c.Size, got, err)
			}
		}
		if _, err := trust.List(); err != nil && outcome(receipt.Standing{}, err) != "damaged" {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// A full file keeps V, the records that bind, and everything unauthenticated.
func TestTrustIsBounded(t *testing.T) {
	l := newRotated(t)
	l.grow(60)
	trust := openTrust(t, filepath.Join(t.TempDir(), "trust"))
	trust.SetMaxRecorded(10)
	if _, err := trust.Record(t.Context(), l.at(8, l.e[0]), nil, mirror, now); !errors.Is(err, receipt.ErrUnknownLog) {
		t.Fatal(err)
	}
	if _, err := trust.Trust(t.Context(), l.at(80, l.e[3]), nil, file, receipt.VouchOperator, now); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Trust(t.Context(), l.at(2, l.e[0]), l, live, receipt.VouchLive, now); err != nil {
		t.Fatal(err)
	}
	for size := uint64(18); size < 80; size++ {
		if s, err := trust.Record(t.Context(), l.at(size, l.e[3]), l, file, now.Add(time.Hour)); outcome(s, err) != "prefix" {
			t.Fatalf("size %d: %s (%v)", size, outcome(s, err), err)
		}
		if lines := strings.Count(content(t, trust), "\n"); lines > 2+10 {
			t.Fatalf("file has %d lines", lines)
		}
		for _, trust := range []*receipt.TrustStore{trust, openTrust(t, filepath.Dir(trust.Path(testOrigin)))} {
			for _, c := range []*receipt.Checkpoint{l.at(size, l.e[3]), l.at(80, l.e[3]), l.at(2, l.e[0])} {
				s, err := trust.Check(t.Context(), c, nil, file)
				if outcome(s, err) != "recorded" || s.Server != testServer {
					t.Fatalf("size %d after %d: %s, server %q (%v)", c.Size, size, outcome(s, err), s.Server, err)
				}
			}
		}
	}
	known, err := trust.List()
	if err != nil || known[0].Size != 80 || known[0].Unauthenticated != 1 || known[0].Vouched > 10 {
		t.Errorf("List: %+v, %v", known, err)
	}
	if s, err := trust.Check(t.Context(), l.at(18, l.e[3]), nil, file); outcome(s, err) != "not shown" {
		t.Errorf("the smallest: %s (%v)", outcome(s, err), err)
	}
	checkFiles(t, filepath.Dir(trust.Path(testOrigin)))
}

// Anyone can forge unauthenticated checkpoints, so they must neither
// accumulate nor displace other records.
func TestManyUnauthenticated(t *testing.T) {
	l := newPlain(t, 1100)
	trust := l.store(t, 2)
	for size := uint64(3); size <= 1100; size++ {
		for range 2 {
			if _, err := trust.Record(t.Context(), l.cp(size), nil, mirror, now); !errors.Is(err, receipt.ErrNotShown) {
				t.Fatalf("size %d: %v", size, err)
			}
			if size > 10 {
				break
			}
		}
		if got := strings.Count(content(t, trust), "unauthenticated"); size == 10 && got != 8 {
			t.Fatalf("8 checkpoints are %d lines", got)
		}
	}
	known, err := trust.List()
	if err != nil || known[0].Unauthenticated != receipt.MaxUnauthenticated || known[0].Vouched != 1 || known[0].Size != 2 {
		t.Errorf("List: %+v, %v", known, err)
	}
	if s, err := trust.Record(t.Context(), l.cp(1100), l, live, now); outcome(s, err) != "same_key" {
		t.Errorf("got %s (%v)", outcome(s, err), err)
	}
}

// A thousand receipts obtained on this machine, under as many checkpoints,
// verify later without a log, in another process.
func TestManyCheckpoints(t *testing.T) {
	n := uint64(1000)
	if testing.Short() {
		n = 200
	}
	l := newPlain(t, int(n))
	var sizes []uint64
	for size := uint64(1); size <= n; size += 3 {
		sizes = append(sizes, size)
	}
	for size := uint64(3); size <= n; size += 3 { // not in order of size
		sizes = append(sizes, size)
	}
	trust := l.store(t, sizes...)
	for size := uint64(1); size <= n; size++ {
		for _, s := range []*receipt.TrustStore{trust, openTrust(t, filepath.Dir(trust.Path(testOrigin)))}[:1+int(size%100)/99] {
			if _, err := s.Check(t.Context(), l.cp(size), nil, file); (err == nil) != (size%3 != 2) {
				t.Fatalf("size %d: %v", size, err)
			}
		}
	}
	t.Logf("%d bytes per checkpoint", len(content(t, trust))/len(sizes))
}

// The environment variable that makes this test binary a writer, and its
// value: the number of the writer and two directories.
const envWriter = "TD_TEST_TRUST_WRITER"

const (
	writers   = 4
	perWriter = 25
)

func TestMain(m *testing.M) {
	if v := os.Getenv(envWriter); v != "" {
		f := strings.SplitN(v, ":", 3)
		n, err := strconv.Atoi(f[0])
		if err == nil {
			err = write(n, f[1], f[2])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// saved is a log with a signed checkpoint of every size.
type saved struct {
	Leaves [][]byte
	Notes  []string // by size
}

// write records checkpoints that no other writer records, and some that all do.
func write(n int, store, log string) error {
	b, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	var l saved
	if err := json.Unmarshal(b, &l); err != nil {
		return err
	}
	w := &world{t: &failer{}, origin: testOrigin}
	for _, leaf := range l.Leaves {
		w.appendRaw(leaf)
	}
	trust, err := receipt.OpenTrust(store)
	if err != nil {
		return err
	}
	for i := range perWriter {
		for _, size := range []int{1 + writers*i + n, 1 + writers*i} {
			c, err := receipt.VerifyCheckpoint(l.Notes[size], l.Leaves[0], w.path(0, uint64(size)))
			if err != nil {
				return err
			}
			if _, err := trust.Record(context.Background(), c, w, live, now); err != nil {
				return fmt.Errorf("writer %d, size %d: %w", n, size, err)
			}
		}
	}
	return nil
}

// Processes share a directory: check and append are one step, each process
// sees the records of the others, and no line is lost or written twice.
func TestTwoProcesses(t *testing.T) {
	const n = writers * perWriter
	l := newPlain(t, n)
	log := saved{Leaves: l.leaves, Notes: make([]string, n+1)}
	for size := 1; size <= n; size++ {
		log.Notes[size] = l.cp(uint64(size)).Note
	}
	b, err := json.Marshal(log)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	trust := openTrust(t, filepath.Join(t.TempDir(), "trust"))
	if s, err := trust.Check(t.Context(), l.cp(1), nil, file); outcome(s, err) != "unknown" {
		t.Fatal(err)
	}
	dir := filepath.Dir(trust.Path(testOrigin))
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%s:%s", envWriter, i, dir, name))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("writer %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	for size := uint64(1); size <= n; size++ {
		if s, err := trust.Check(t.Context(), l.cp(size), nil, file); outcome(s, err) != "recorded" {
			t.Errorf("size %d: %s (%v)", size, outcome(s, err), err)
		}
	}
	if got := strings.Count(content(t, trust), "\n"); got != 1+n {
		t.Errorf("file has %d lines, want %d", got, 1+n)
	}
	checkFiles(t, dir)
}

// If two histories are first used at the same time, one is believed.
func TestFirstUseOnce(t *testing.T) {
	for range 10 {
		dir := t.TempDir()
		var forks []*plain
		for range 4 {
			forks = append(forks, newPlain(t, 6))
		}
		got := make([]string, len(forks))
		var wg sync.WaitGroup
		for i, l := range forks {
			c, trust := l.cp(uint64(5+i%2)), openTrust(t, dir)
			wg.Go(func() {
				s, err := trust.Record(t.Context(), c, nil, live, now)
				got[i] = outcome(s, err)
			})
		}
		wg.Wait()
		first := 0
		for _, g := range got {
			switch g {
			case "first_use":
				first++
			case "contradicts, unvouched", "not shown":
			default:
				t.Errorf("got %s", g)
			}
		}
		known, err := openTrust(t, dir).List()
		if err != nil || first != 1 || known[0].Vouched != 1 {
			t.Fatalf("got %v, store %+v, %v", got, known, err)
		}
	}
}

// If the records change while the log is read, the answer follows them.
func TestChangeMeanwhile(t *testing.T) {
	l := newPlain(t, 20)
	fork := l.fork(4)
	fork.grow(10)
	trust := l.store(t, 5)
	dir := filepath.Dir(trust.Path(testOrigin))
	once := sync.OnceFunc(func() {
		if _, err := openTrust(t, dir).Record(t.Context(), l.cp(12), l, live, now); err != nil {
			t.Error(err)
		}
	})
	// Size 9 of the fork is no extension of 12 leaves of the log.
	log := lying{world: l.world, prefix: func(h [][32]byte) [][32]byte { once(); return h }}
	if s, err := trust.Record(t.Context(), l.cp(9), log, live, now); outcome(s, err) != "prefix" {
		t.Errorf("got %s (%v), want the rule for the records as they are now", outcome(s, err), err)
	}
}

// version1 is the text of a trust file of version 1 with the given sizes.
func (l *plain) version1(sizes ...uint64) string {
	text := "terradourada-trust/1 " + l.origin + "\n"
	for _, size := range sizes {
		c := l.cp(size)
		sig := strings.TrimSuffix(c.Note[strings.LastIndex(c.Note, " ")+1:], "\n")
		text += fmt.Sprintf("%d %s %s %s 1700000000\n", size, base64.StdEncoding.EncodeToString(c.Root[:]), base64.StdEncoding.EncodeToString(c.Key[:]), sig)
	}
	return text
}

func TestImport(t *testing.T) {
	l := newPlain(t, 1200)
	v1 := l.version1(5, 7, 9)
	t.Run("in place", func(t *testing.T) {
		trust := openTrust(t, t.TempDir())
		path := trust.Path(testOrigin)
		if err := os.WriteFile(path, []byte(v1), 0o600); err != nil {
			t.Fatal(err)
		}
		origin, n, err := trust.Import(path, now)
		if err != nil || origin != testOrigin || n != 3 {
			t.Fatalf("got %q, %d, %v", origin, n, err)
		}
		if b, err := os.ReadFile(path + ".v1"); err != nil || string(b) != v1 {
			t.Errorf("the old file is %q, %v", b, err)
		}
		if got := content(t, trust); strings.Count(got, fmt.Sprintf(" %d unauthenticated -\n", now.Unix())) != 3 {
			t.Errorf("file is %q", got)
		}
		// They neither pin nor refuse.
		if s, err := trust.Check(t.Context(), l.cp(5), l, file); outcome(s, err) != "unknown" {
			t.Errorf("got %s (%v)", outcome(s, err), err)
		}
		if s, err := trust.Record(t.Context(), newPlain(t, 9).cp(5), nil, live, now); outcome(s, err) != "first_use" || len(s.Warnings) != 1 {
			t.Errorf("got %s (%v), warnings %q", outcome(s, err), err, s.Warnings)
		}
		if _, _, err := trust.Import(path, now); outcome(receipt.Standing{}, err) != "damaged" {
			t.Errorf("a file of version 2 is imported: %v", err)
		}
	})
	t.Run("in place, interrupted before", func(t *testing.T) {
		trust := openTrust(t, t.TempDir())
		path := trust.Path(testOrigin)
		if err := os.WriteFile(path, []byte(v1), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(path, path+".v1"); err != nil {
			t.Fatal(err)
		}
		if _, n, err := trust.Import(path, now); err != nil || n != 3 {
			t.Errorf("got %d, %v", n, err)
		}
	})
	t.Run("in place, another file kept before", func(t *testing.T) {
		trust := openTrust(t, t.TempDir())
		path := trust.Path(testOrigin)
		for _, p := range []string{path, path + ".v1"} {
			if err := os.WriteFile(p, []byte(v1), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := trust.Import(path, now); !errors.Is(err, os.ErrExist) || content(t, trust) != v1 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("from elsewhere", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "old")
		text := v1 + "5 torn\n\nrubbish\n" + strings.SplitAfter(v1, "\n")[1] + "9 " // lines that version 1 ignored
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, trust := range []*receipt.TrustStore{openTrust(t, filepath.Join(t.TempDir(), "new")), l.store(t, 5, 6)} {
			before := content(t, trust)
			for _, want := range []int{3, 0} {
				origin, n, err := trust.Import(name, now)
				if err != nil || origin != testOrigin || n != want {
					t.Fatalf("got %q, %d, %v, want %d", origin, n, err, want)
				}
			}
			if !strings.HasPrefix(content(t, trust), before) {
				t.Error("what was there has changed")
			}
			known, err := trust.List()
			if err != nil || known[0].Unauthenticated != 3 {
				t.Errorf("List: %+v, %v", known, err)
			}
			if b, err := os.ReadFile(name); err != nil || string(b) != text {
				t.Errorf("the file was changed: %v", err)
			}
			checkFiles(t, filepath.Dir(trust.Path(testOrigin)))
		}
	})
	t.Run("more than are kept", func(t *testing.T) {
		var sizes []uint64
		for size := uint64(1200); size > 0; size-- {
			sizes = append(sizes, size)
		}
		name := filepath.Join(t.TempDir(), "old")
		if err := os.WriteFile(name, []byte(l.version1(sizes...)), 0o600); err != nil {
			t.Fatal(err)
		}
		trust := openTrust(t, t.TempDir())
		if _, n, err := trust.Import(name, now); err != nil || n != receipt.MaxUnauthenticated {
			t.Errorf("got %d, %v", n, err)
		}
		if got := content(t, trust); strings.Contains(got, "\n100 ") || !strings.Contains(got, "\n1200 ") {
			t.Error("the smallest were kept, not the greatest")
		}
	})
	lines := strings.SplitAfter(v1, "\n")
	for name, text := range map[string]string{
		"empty":             "",
		"no header":         lines[1],
		"version 2":         strings.Replace(v1, "/1", "/2", 1),
		"no origin":         "terradourada-trust/1 \n",
		"another size":      lines[0] + strings.Replace(lines[1], "5 ", "6 ", 1),
		"another log":       strings.Replace(v1, testOrigin, "terradourada/other", 1),
		"changed signature": lines[0] + lines[1] + strings.Join([]string{"7", strings.Split(lines[1], " ")[1]}, " ") + lines[2][strings.Index(lines[2][2:], " ")+2:],
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "old")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			trust := openTrust(t, t.TempDir())
			if _, _, err := trust.Import(file, now); outcome(receipt.Standing{}, err) != "damaged" {
				t.Errorf("got %v, want damage", err)
			}
			if known, err := trust.List(); err != nil || len(known) != 0 {
				t.Errorf("the store has %+v, %v", known, err)
			}
		})
	}
}

func TestTrustThatCannotBeKept(t *testing.T) {
	l := newPlain(t, 20)
	if _, err := receipt.OpenTrust(""); err == nil {
		t.Error("no directory was opened")
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.OpenTrust(name); err == nil {
		t.Error("a file was opened as a directory")
	}
	if s, err := openTrust(t, filepath.Join(name, "below")).Record(t.Context(), l.cp(3), nil, live, now); err == nil {
		t.Errorf("a checkpoint was recorded below a file: %+v", s)
	}
}

// TestNoDirectory: why the directory could not be made is returned.
func TestNoDirectory(t *testing.T) {
	l := newPlain(t, 20)
	dir := filepath.Join(t.TempDir(), "trust")
	if err := os.Symlink(filepath.Join(t.TempDir(), "a", "b"), dir); err != nil {
		t.Skip("no symbolic links")
	}
	if s, err := openTrust(t, dir).Record(t.Context(), l.cp(3), nil, live, now); !errors.As(err, new(*os.PathError)) {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestRecordsThatChange: a checkpoint is not recorded if other processes append to the
// records whenever it is checked.
func TestRecordsThatChange(t *testing.T) {
	l := newPlain(t, 200)
	trust := l.store(t, 1)
	size := uint64(1)
	log := lying{world: l.world, prefix: func(h [][32]byte) [][32]byte {
		size++
		if _, err := openTrust(t, filepath.Dir(trust.Path(testOrigin))).Record(t.Context(), l.cp(size), l, live, now); err != nil {
			t.Fatal(err)
		}
		return h
	}}
	if s, err := trust.Record(t.Context(), l.cp(200), log, live, now); err == nil {
		t.Errorf("got %+v", s)
	}
	if s, err := trust.Check(t.Context(), l.cp(200), nil, file); err == nil {
		t.Errorf("it is recorded: %+v", s)
	}
}

func TestReadOnlyStore(t *testing.T) {
	l := newPlain(t, 20)
	trust := l.store(t, 5)
	dir := filepath.Dir(trust.Path(testOrigin))
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	trust = openTrust(t, dir)
	for size, want := range map[uint64]string{5: "recorded", 9: "same_key", 3: "prefix"} {
		if s, err := trust.Check(t.Context(), l.cp(size), l, file); outcome(s, err) != want {
			t.Errorf("size %d: %s (%v), want %s", size, outcome(s, err), err, want)
		}
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("%d files, %v, want %d", len(after), err, len(before))
	}
}

func TestDefaultTrustDir(t *testing.T) {
	for _, tt := range []struct{ state, home, want string }{
		{"/state", "/home/u", "/state/terradourada/trust"},
		{"", "/home/u", "/home/u/.local/state/terradourada/trust"},
		{"relative", "/home/u", "/home/u/.local/state/terradourada/trust"},
	} {
		t.Setenv("XDG_STATE_HOME", tt.state)
		t.Setenv("HOME", tt.home)
		got, err := receipt.DefaultTrustDir()
		if err != nil || got != tt.want {
			t.Errorf("with %q and %q: got %q, %v, want %q", tt.state, tt.home, got, err, tt.want)
		}
	}
}

// Any trust file is read without a panic, and only signed records of it are
// believed.
func FuzzTrustFile(f *testing.F) {
	// Every process of the fuzzer must have the same log.
	e := &epochKey{key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), open: protocol.EpochOpen{Number: 1}}
	copy(e.open.CheckpointKey[:], e.key.Public().(ed25519.PublicKey))
	e.open.ID = protocol.DeriveEpochID(e.open.PublicKey[:], e.open.CheckpointKey)
	l := &plain{newWorld(&failer{}), e}
	l.append(&e.open)
	for range 19 {
		l.append(&protocol.Incident{})
	}
	good := []byte(content(f, l.store(f, 5, 7)))
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("live"), []byte("chain"), 1))
	f.Add([]byte("terradourada-trust/1 " + testOrigin + "\n"))
	f.Add([]byte("terradourada-trust/2 " + testOrigin + "\n5 A A A 1 live -\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		trust := openTrust(t, t.TempDir())
		if err := os.WriteFile(trust.Path(testOrigin), b, 0o600); err != nil {
			t.Fatal(err)
		}
		size, root, ok, err := trust.Newest(testOrigin)
		if ok && (err != nil || size != 5 && size != 7 || root != l.root(size)) {
			t.Fatalf("size %d with root %x was never signed", size, root)
		}
		s, err := trust.Record(t.Context(), l.cp(5), l, live, now)
		switch got := outcome(s, err); got {
		case "damaged", "recorded", "prefix", "first_use":
		default:
			t.Fatalf("got %s (%v)", got, err)
		}
	})
}
