package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// drawn are the pointers into an event, by what they name.
type drawn struct{ numbers, arrays []string }

// value draws a number, or an array or object that holds some.
func (d *drawn) value(rt *rapid.T, at string, depth int) string {
	kinds := []string{"number", "array", "array", "object"}
	if depth == 0 {
		kinds = kinds[:1]
	}
	var parts []string
	switch kind := rapid.SampledFrom(kinds).Draw(rt, "kind"); kind {
	case "array":
		d.arrays = append(d.arrays, at)
		for i := range rapid.IntRange(0, 3).Draw(rt, "items") {
			parts = append(parts, d.value(rt, fmt.Sprintf("%s/%d", at, i), depth-1))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case "object":
		for i := range rapid.IntRange(0, 3).Draw(rt, "members") {
			parts = append(parts, fmt.Sprintf("%q: ", fmt.Sprint("m/", i))+d.value(rt, fmt.Sprintf("%s/m~1%d", at, i), depth-1))
		}
		return "{" + strings.Join(parts, " ,") + "}"
	}
	d.numbers = append(d.numbers, at)
	return fmt.Sprint(rapid.IntRange(-9, 9).Draw(rt, "number"))
}

// drawParams draws parameters of a claim that takes pointers. Every number of an event is
// in their bounds.
func drawParams(rt *rapid.T, d *drawn) (claim.ID, string) {
	id := rapid.SampledFrom([]claim.ID{claim.Range, claim.Sum, claim.RecordRange, claim.RecordEquals, claim.RecordOneOf}).Draw(rt, "claim")
	pointers := d.numbers
	if id == claim.Range || id == claim.Sum {
		pointers = slices.Concat(d.arrays, d.numbers)
	}
	if len(pointers) == 0 {
		pointers = []string{"/nowhere"}
	}
	at := rapid.SliceOfNDistinct(rapid.SampledFrom(pointers), 1, 3, rapid.ID[string]).Draw(rt, "at")
	quoted, err := json.Marshal(at)
	if err != nil {
		rt.Fatal(err)
	}
	switch id {
	case claim.Range:
		entries := make([]string, len(at))
		for i, p := range at {
			entries[i] = fmt.Sprintf(`{"lo":-9, "at":%q,"hi":9}`, p)
		}
		return id, fmt.Sprintf(`{"values":[%s],"scale":0,"offset":100}`, strings.Join(entries, ","))
	case claim.Sum:
		return id, fmt.Sprintf(`{"at": %s, "lo":-1000, "hi":1000,"scale":1}`, quoted)
	case claim.RecordRange:
		return id, fmt.Sprintf(`{"schema":%s,"field":0,"lo":-9,"hi":9,"scale":0,"offset":10}`, quoted)
	case claim.RecordEquals:
		return id, fmt.Sprintf(`{"schema":%s,"field":0,"value":%d,"scale":0,"offset":10}`, quoted, rapid.IntRange(-1, 1).Draw(rt, "value"))
	}
	return id, fmt.Sprintf(`{"schema":%s,"field":0,"values":[-3,-2,-1,0,1,2,3],"scale":0,"offset":10}`, quoted)
}

// way is the way of parameters from a person to the receipt.
type way struct {
	client *client.Client
	gate   *oneClaimGate
	dir    string
	files  int
}

// TestParamsAreTheSameEverywhere wants the bytes of the parameters that were prepared in
// the request, in the private file, at the gate on both ways, and in the receipt.
func TestParamsAreTheSameEverywhere(t *testing.T) {
	w := &way{gate: &oneClaimGate{fake: &fake{enter: make(chan struct{}, 1<<12)}}, dir: t.TempDir()}
	s := start(t, func(c *server.Config) { c.Gate = w.gate })
	var err error
	if w.client, err = client.New("http://"+s.addr, client.Config{Retries: -1}); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []client.Submission{
		{Claim: claim.Sum, Params: []byte(`{"at":["/d", "/e"],"lo":0,"hi":9,"scale":0}`), Event: []byte(`{"d":[[1,[2]],[],0],"e":3}`)},
		{Claim: claim.Range, Params: []byte(`{"values":[{"at":"/d","lo":0,"hi":9}],"scale":0,"offset":0}`), Event: []byte(`{"d":[[[1,2]],[[3]]]}`)},
	} {
		w.compare(t, &sub)
	}
	if w.files != 2 {
		t.Error("nested arrays were not compared")
	}
	rapid.Check(t, func(rt *rapid.T) {
		var all drawn
		event := `{"d": ` + all.value(rt, "/d", 2) + `, "e": [` + all.value(rt, "/e/0", 3) + `]}`
		all.arrays = append(all.arrays, "/e")
		id, params := drawParams(rt, &all)
		w.compare(rt, &client.Submission{Claim: id, Params: []byte(params), Event: []byte(event)})
	})
}

// compare sends a submission both ways. It leaves out those with too many values, without
// any, or with one that the claim does not take.
func (w *way) compare(t rapid.TB, s *client.Submission) {
	t.Helper()
	d, err := client.NewDraft(s, protocol.Element{})
	if err != nil {
		if protocol.CodeOf(err) == protocol.CodeInternal {
			t.Fatal(err)
		}
		return
	}
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s of %s: %v", s.Params, s.Event, err)
		}
	}
	p, err := s.Prepare()
	fail(err)
	again, err := claim.Prepare(s.Claim, p.Params().Bytes(), p.Event())
	fail(err)
	w.files++
	path := filepath.Join(w.dir, fmt.Sprint(w.files))
	fail(draft.Write(path, d))
	read, _, err := draft.Read(path, "", "")
	fail(err)
	ch, err := w.client.Challenge(context.Background(), read.Request())
	fail(err)
	_, err = d.Check(ch, "")
	fail(err)
	_, err = w.client.Push(context.Background(), p, 0, 0)
	fail(err)
	w.gate.leaf.Proof = make([]byte, protocol.ProofSize)
	got, err := w.gate.Receipt(context.Background(), knownID)
	fail(err)
	leaf, err := protocol.ParseLeaf(got.Leaf)
	fail(err)
	accepted, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		t.Fatal("the leaf is no acceptance")
	}
	for where, have := range map[string][]byte{
		"prepared twice": again.Params().Bytes(), "request": d.Request().Params, "request of the private file": read.Request().Params,
		"pushed": w.gate.pushes[len(w.gate.pushes)-1].Params, "receipt": accepted.Params,
	} {
		fail(client.Compare(where, string(p.Params().Bytes()), string(have)))
	}
}
