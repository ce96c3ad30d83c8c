package seriesfile_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/terradourada/td/internal/anomaly/seriesfile"
	"github.com/terradourada/td/internal/fault"
)

// readAll returns the rows of a text, the warnings and the error that ended it.
func readAll(text string) (rows []seriesfile.Row, warnings []string, err error) {
	r := seriesfile.NewReader(strings.NewReader(text), "f.csv")
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, r.Warnings(), nil
		}
		if err != nil {
			return rows, r.Warnings(), err
		}
		rows = append(rows, row)
	}
}

func TestForms(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	for name, text := range map[string]string{
		"header":              "timestamp,value\n2026-03-01 10:30:00,21.5\n",
		"no header":           "2026-03-01 10:30:00,21.5",
		"RFC 3339":            "2026-03-01T11:30:00+01:00,21.5\n",
		"without zone":        "2026-03-01T10:30:00,21.5\n",
		"fraction":            "2026-03-01 10:30:00.000000,21.5\n",
		"zone after a blank":  "2026-03-01 10:30:00+00:00,21.5\n",
		"Unix seconds":        "1772361000,21.5\n",
		"with a fraction":     "1772361000.000,21.5\n",
		"mark, CRLF, blanks":  "\xef\xbb\xbftimestamp,value\r\n\r\n2026-03-01 10:30:00 , 21.5\r\n\r\n",
		"semicolons":          "time;value\n2026-03-01 10:30:00;21,5\n",
		"tabs":                "2026-03-01 10:30:00\t21,5\n",
		"quotes":              "\"timestamp\",\"value\"\n\"2026-03-01 10:30:00\",\"21.5\"\n",
		"more columns":        "host,Value,Timestamp,unit\na,21.5,2026-03-01 10:30:00,C\n",
		"names of all kinds":  "when,celsius\n2026-03-01 10:30:00,2.15e1\n",
		"the other way round": "value,timestamp\n21.5,2026-03-01 10:30:00\n",
	} {
		rows, warnings, err := readAll(text)
		if err != nil || len(warnings) != 0 || len(rows) != 1 {
			t.Errorf("%s: %+v, %q, %v", name, rows, warnings, err)
			continue
		}
		if r := rows[0]; !r.At.Equal(at) || r.Value != 21.5 || r.Missing {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRefused(t *testing.T) {
	newest := "timestamp,value\n"
	for i := range 30 {
		newest += fmt.Sprintf("%d,1\n", 1772361000-60*i)
	}
	for _, c := range []struct{ text, want string }{
		{"", "f.csv is empty"},
		{"\xef\xbb\xbf\r\n", "f.csv is empty"},
		{"timestamp,value\n", "f.csv has no row with a value"},
		{"1,NaN\n2,\n", "f.csv has no row with a value"},
		{"1\n", "row 1: it has one column"},
		{"1,2,3\n", "row 1: it has 3 columns; name two of them"},
		{"a,b,c\n1,2,3\n", "row 1: it has 3 columns; name two of them"},
		{"1,2\n2,3,4\n", "row 2: it has 3 columns, and the first row has 2"},
		{"1,2\n2\n", "row 2: it has 1 columns"},
		{"time,value\nyesterday,2\n", `row 2: "yesterday" is no time`},
		{"2026-02-30 00:00:00,1\n", "row 1: \"2026-02-30 00:00:00\" is no time"},
		{"03/01/2026 10:00,1\n", "is no time: RFC 3339, YYYY-MM-DD HH:MM:SS or Unix seconds"},
		{"1772361000000,1\n", "too large for Unix seconds; milliseconds"},
		{"1,2\n2026-03-01 10:30:00,3\n", `row 2: "2026-03-01 10:30:00" is no time of the form of the first row, Unix seconds`},
		{"1,2\n2,many\n", `row 2: "many" is no number`},
		{"1,2\n2,0x1p4\n", "is no number"},
		{"1,2\n2,1_000\n", "is no number"},
		{"1,2\n2,1e999\n", "is no number"},
		{"1,2\n2,\"1,5\"\n", "has a comma; only a decimal comma"},
		{"1;2\n2;1.000,5\n", "has a comma; only a decimal comma"},
		{"1,2\n" + strings.Repeat("9", 5000) + ",1\n", "row 2: the line is longer than 4096 bytes"},
		{"\xff\xfet\x00", "row 1 is no text in UTF-8"},
		{"PK\x03\x04\x00\x00", "row 1 is no text in UTF-8"},
		{newest, "row 22: the rows are in descending order; tac reverses them"},
	} {
		_, _, err := readAll(c.text)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Exit != fault.Usage || !strings.Contains(f.What, c.want) || len(f.What) > 200 {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
	}
	r := seriesfile.NewReader(iotest.ErrReader(errors.New("gone")), "f.csv")
	if _, err := r.Next(); err == nil || fault.Of(err).What != "f.csv cannot be read: gone" {
		t.Error(err)
	}
}

// export returns 30 rows a minute apart from a time, then rows at these times.
func export(then ...string) string {
	var b strings.Builder
	at := time.Date(2026, 10, 25, 2, 30, 0, 0, time.UTC)
	for i := range 30 {
		fmt.Fprintf(&b, "%s,1\n", at.Add(time.Duration(i)*time.Minute).Format(time.DateTime))
	}
	for _, row := range then {
		fmt.Fprintln(&b, row)
	}
	return b.String()
}

func TestCounted(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", export("2026-10-25 03:00:00,1"), nil},
		{"missing", export("2026-10-25 03:00:00,NaN", "2026-10-25 03:01:00,", "2026-10-25 03:02:00,-Inf"), []string{"3 rows without a number, not scored; the first is row 31"}},
		{"gap", export("2026-10-25 05:00:00,1", "2026-10-25 05:02:00,1"), []string{"2 rows after a gap; the first is row 31, the longest gap is 2h1m0s, before row 31; the usual step is 1m0s"}},
		{"repeated", export("2026-10-25 02:59:00,1"), []string{"1 row with the time of the row before; the first is row 31"}},
		{"set back", export("2026-10-25 02:00:00,1"), []string{"1 row an hour back in times without a zone, as when daylight saving ends; the first is row 31"}},
		{"set forward", export("2026-10-25 04:00:00,1"), []string{"1 row an hour forward in times without a zone, as when daylight saving begins; the first is row 31"}},
		{"disorder", export("2026-10-25 02:50:00,1"), []string{"1 row earlier than the row before; rows are scored in the order of the file; the first is row 31"}},
		{"zones", "2026-10-25T02:59:00+02:00,1\n2026-10-25T02:00:00+01:00,1\n", []string{"1 row with another zone than the row before; times are compared in UTC; the first is row 2"}},
	} {
		rows, warnings, err := readAll(c.text)
		if err != nil || !slices.Equal(warnings, c.want) {
			t.Errorf("%s: %d rows, %q, %v; want %q", c.name, len(rows), warnings, err, c.want)
		}
		for _, r := range rows {
			if r.Missing != math.IsNaN(r.Value) {
				t.Errorf("%s: %+v", c.name, r)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(export("2026-10-25 02:00:00,1"))
	f.Add("\xef\xbb\xbfa;value;ts\r\n\"x;y\";1,5;1772361000.5\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, warnings, err := readAll(text)
		if err != nil && (fault.Of(err).Exit != fault.Usage || len(err.Error()) > 300) {
			t.Error(err)
		}
		for _, r := range rows {
			if r.Line < 1 || r.Missing != math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
				t.Errorf("%+v", r)
			}
		}
		if len(warnings) > 7 {
			t.Errorf("%q", warnings)
		}
	})
}

func TestPlot(t *testing.T) {
	for _, n := range []int{0, 1, 2, 801, 100_000} {
		p := seriesfile.NewPlot("a <b> & c")
		for i := range n {
			p.Add(math.Sin(float64(i)), 0.5, false)
		}
		p.Add(math.NaN(), 0, false)
		p.Add(9, 4, true)
		p.Window(n/2, n)
		svg := string(p.SVG())
		if len(svg) > 60_000 || strings.Contains(svg, "NaN") || strings.Contains(svg, "<b>") || strings.Count(svg, "<circle") != 1 || !strings.HasSuffix(svg, "</svg>\n") {
			t.Errorf("%d rows: %d bytes: %.300s", n, len(svg), svg)
		}
	}
	p := seriesfile.NewPlot("no number")
	p.Add(math.NaN(), 0, false)
	if svg := string(p.SVG()); strings.Contains(svg, "NaN") || !strings.Contains(svg, "score 1") {
		t.Error(svg)
	}
	p = seriesfile.NewPlot("extremes")
	p.Add(-math.MaxFloat64, 0, false)
	p.Add(math.MaxFloat64, math.Inf(1), false)
	if svg := string(p.SVG()); strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Error(svg)
	}
}

// rowsOf writes so many rows as they are read.
type rowsOf struct {
	left int
	rest []byte
}

func (r *rowsOf) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.rest = fmt.Appendf(nil, "%d,%d\n", 1772361000-60*r.left, r.left%17)
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// TestBounded reads and draws a long file. What it keeps does not grow with the rows.
func TestBounded(t *testing.T) {
	r, p := seriesfile.NewReader(&rowsOf{left: 300_000}, "long"), seriesfile.NewPlot("long")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	rows := 0
	for ; ; rows++ {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Add(row.Value, 0, false)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); rows != 300_000 || grown > 1<<20 {
		t.Errorf("%d rows, the heap grew by %d bytes", rows, grown)
	}
	runtime.KeepAlive(r)
	if len(p.SVG()) > 60_000 || len(r.Warnings()) > 0 {
		t.Errorf("%d bytes of SVG, %q", len(p.SVG()), r.Warnings())
	}
}
