package addcheckpoint_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/receipt"
)

// answer is one of a cosigner.
type answer struct {
	status int
	kind   string
	body   string
}

// scripted is a cosigner that answers in turn, the last one for ever.
type scripted struct {
	t       *testing.T
	log     *logtest.Log
	answers []answer
	asked   []uint64 // old sizes
}

func (s *scripted) post(_ context.Context, url string, body []byte) (status int, kind string, reply []byte, err error) {
	s.t.Helper()
	r, err := addcheckpoint.ParseRequest(body)
	if err != nil || url != "https://a.example/x/add-checkpoint" {
		s.t.Fatalf("%s: %v", url, err)
	}
	cp, err := receipt.ReadCheckpoint(r.Note)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Old < cp.Size {
		err = tlog.CheckTree(r.Proof, int64(cp.Size), cp.Root, int64(r.Old), tlog.Hash(s.log.Tree.RootAt(r.Old)))
	}
	if err != nil || r.Old == cp.Size && len(r.Proof) > 0 {
		s.t.Errorf("from %d: %d hashes, %v", r.Old, len(r.Proof), err)
	}
	a := s.answers[min(len(s.asked), len(s.answers)-1)]
	s.asked = append(s.asked, r.Old)
	if a.status == 0 {
		return 0, "", nil, errors.New("connection refused")
	}
	return a.status, a.kind, []byte(a.body), nil
}

// TestAsk: the lines come from a cosigner that needs another proof, too, and what is no
// answer of the protocol is an error after a bounded number of requests.
func TestAsk(t *testing.T) {
	log := logtest.New()
	for log.Size() < 700 {
		log.AddRaw([]byte{byte(log.Size()), byte(log.Size() >> 8)})
	}
	dir := t.TempDir()
	log.Write(dir, log.Epochs[0])
	cp, err := receipt.ReadCheckpoint(log.Note(700, log.Epochs[0]))
	if err != nil {
		t.Fatal(err)
	}
	size := func(text string) answer { return answer{409, addcheckpoint.SizeType, text} }
	const all = "— a b\n"
	for name, tt := range map[string]struct {
		from    uint64
		answers []answer
		asked   string // old sizes
		want    string // lines, or part of the error
	}{
		"has it":              {0, []answer{{200, "", all}}, "[700]", all},
		"as was thought":      {300, []answer{{200, "", all}}, "[300]", all},
		"thought too much":    {701, []answer{{200, "", all}}, "[700]", all},
		"is behind":           {0, []answer{size("256\n"), {200, "", all}}, "[700 256]", all},
		"was set back":        {699, []answer{size("1\n"), {200, "", all}}, "[699 1]", all},
		"is overtaken":        {0, []answer{size("5\n"), size("512\n"), {200, "", all}}, "[700 5 512]", all},
		"always another size": {0, []answer{size("5\n"), size("6\n"), size("7\n"), size("8\n")}, "[700 5 6]", "faster"},
		"always the same":     {0, []answer{size("5\n")}, "[700 5 5]", "faster"},
		"is ahead":            {0, []answer{size("701\n")}, "[700]", "newer"},
		"far ahead":           {0, []answer{size("4611686018427387903\n")}, "[700]", "newer"},
		"no size":             {0, []answer{size("")}, "[700]", "no checkpoint"},
		"size 0":              {0, []answer{size("0\n")}, "[700]", "no checkpoint"},
		"size -1":             {0, []answer{size("-1\n")}, "[700]", "no checkpoint"},
		"too great a size":    {0, []answer{size("4611686018427387904\n")}, "[700]", "no checkpoint"},
		"another type":        {0, []answer{{409, "text/plain", "5\n"}}, "[700]", "status 409"},
		"redirects":           {0, []answer{{302, "", ""}}, "[700]", "status 302"},
		"fails":               {0, []answer{{500, "", all}}, "[700]", "status 500"},
		"is endless":          {0, []answer{{200, "", strings.Repeat("x", addcheckpoint.MaxAnswer+1)}}, "[700]", "too large"},
		"is stopped":          {0, []answer{{}}, "[700]", "refused"},
	} {
		s := &scripted{t: t, log: log, answers: tt.answers}
		lines, err := addcheckpoint.Ask(t.Context(), s.post, "https://a.example/x/", tt.from, cp, client.NewLogDir(dir))
		if got := fmt.Sprint(s.asked); got != tt.asked {
			t.Errorf("%s: asked from %s, want %s", name, got, tt.asked)
		}
		if tt.want == all && (err != nil || lines != all) || tt.want != all && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %q, %v, want %q", name, lines, err, tt.want)
		}
	}
}
