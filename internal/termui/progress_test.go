package termui_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/terradourada/td/internal/termui"
)

// shown steps a progress through so many seconds, with one step a second.
func shown(t *testing.T, mode string, total, steps int) string {
	t.Helper()
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	p := termui.NewProgress(&b, mode, "work", now)
	p.Expect(total)
	for range steps {
		now = now.Add(time.Second)
		p.Step(now)
	}
	if err := p.Print(func() error { _, err := io.WriteString(&b, "said\n"); return err }); err != nil {
		t.Fatal(err)
	}
	p.Finish()
	return b.String()
}

func TestProgress(t *testing.T) {
	tests := []struct {
		mode         string
		total, steps int
		want         string
	}{
		{"none", 4, 4, "said\n"},
		{"plain", 8, 8, "work: 2 of 8 (25%), about 6s left\nwork: 4 of 8 (50%), about 4s left\nwork: 6 of 8 (75%), about 2s left\nwork: 8 of 8 (100%)\nsaid\n"},
		{"plain", 0, 21, "work: 10 done\nwork: 20 done\nsaid\n"},
		{"plain", 1000, 25, "work: 10 of 1000 (1%), about 16m30s left\nwork: 20 of 1000 (2%), about 16m20s left\nsaid\n"},
		{"json", 2, 2, `{"stage":"work","done":1,"total":2,"eta_ms":1000}` + "\n" + `{"stage":"work","done":2,"total":2}` + "\nsaid\n"},
		{"json", 0, 1, `{"stage":"work","done":1}` + "\nsaid\n"},
		{"redraw", 2, 2, "\r\x1b[Kwork: 1 of 2 (50%), about 1s left\r\x1b[Kwork: 2 of 2 (100%)\r\x1b[Ksaid\n"},
		{"auto", 4, 1, "work: 1 of 4 (25%), about 3s left\nsaid\n"}, // a buffer is no terminal
	}
	for _, test := range tests {
		if got := shown(t, test.mode, test.total, test.steps); got != test.want {
			t.Errorf("%s, %d of %d:\n%q\nwant\n%q", test.mode, test.steps, test.total, got, test.want)
		}
	}
}

// TestProgressEnds: the last number of a short run of unknown length is shown.
func TestProgressEnds(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	p := termui.NewProgress(&b, "json", "work", now)
	p.Step(now)
	p.Step(now)
	p.Finish()
	p.Finish()
	if want := `{"stage":"work","done":2}` + "\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 logs, 0 logs are", 1: "1 log, 1 log is", 2: "2 logs, 2 logs are"} {
		if got := termui.Count(n, "log") + ", " + termui.CountAre(n, "log"); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
