package receipt_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func TestOpening(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.ranges, s.first)
	for name, tt := range map[string]struct {
		change func(*receipt.Opening)
		client string
		ok     string // expected detail of step binding if it is ok
		failed string // or if it is not
	}{
		"matches, client given":     {func(*receipt.Opening) {}, testClient, "the client is the one given", ""},
		"matches, no client given":  {func(*receipt.Opening) {}, "", "the client is not shown", ""},
		"another client":            {func(*receipt.Opening) {}, "press 8", "", "client id or salt is another"},
		"wrong event":               {func(o *receipt.Opening) { o.Event = `{"lot":"7","ph":[61,73]}` }, "", "", "event or blind is another"},
		"event with another lot":    {func(o *receipt.Opening) { o.Event = `{"lot":"8","ph":[61,72]}` }, "", "", "event or blind is another"},
		"event without the values":  {func(o *receipt.Opening) { o.Event = `{}` }, "", "", ""},
		"event that is not JSON":    {func(o *receipt.Opening) { o.Event = `{` }, "", "", "canonical"},
		"event in another spelling": {func(o *receipt.Opening) { o.Event = `{"ph":[61,72],"lot":"7"}` }, "", "", "canonical"},
		"wrong blind":               {func(o *receipt.Opening) { o.Blind[31] ^= 1 }, "", "", "event or blind is another"},
		"blind out of range":        {func(o *receipt.Opening) { o.Blind[0] = 0xff }, "", "", "canonical field element"},
		"wrong salt":                {func(o *receipt.Opening) { o.ClientSalt[0] ^= 1 }, testClient, "", "client id or salt is another"},
		"another request":           {func(o *receipt.Opening) { o.RequestID[0] ^= 1 }, "", "", "another request"},
	} {
		t.Run(name, func(t *testing.T) {
			o, opening := pinned(t, r), s.ranges.opening
			tt.change(&opening)
			o.Opening, o.Client = &opening, tt.client
			p := verify(t, r, o)
			if tt.ok == "" {
				wantFailed(t, p, "binding", tt.failed)
				return
			}
			wantValid(t, p)
			if got := p.Steps[4].Detail; !strings.HasPrefix(got, "opened: ") || !strings.Contains(got, tt.ok) {
				t.Errorf("binding says %q, want opened and %q", got, tt.ok)
			}
		})
	}
	t.Run("without authentication", func(t *testing.T) {
		r := s.receipt(s.field, s.first)
		o := pinned(t, r)
		o.Opening = &s.field.opening
		p := verify(t, r, o)
		wantValid(t, p)
		if !strings.Contains(p.Steps[4].Detail, "the client was not authenticated") {
			t.Errorf("binding says %q", p.Steps[4].Detail)
		}
	})
	t.Run("details never show the event", func(t *testing.T) {
		o, opening := pinned(t, r), s.ranges.opening
		opening.Event = `{"lot":"7","secretive":[61,73]}`
		o.Opening = &opening
		if got := fmt.Sprint(verify(t, r, o)); strings.Contains(got, "secretive") || strings.Contains(got, "lot") {
			t.Errorf("report shows the event: %s", got)
		}
	})
}

func TestOpeningFile(t *testing.T) {
	s := sharedScene()
	want := s.ranges.opening
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := receipt.ParseOpening(b)
	if err != nil || *got != want {
		t.Fatalf("opening changed on its way: %v", err)
	}
	good := string(b)
	for name, in := range map[string]string{
		"unknown member":     strings.Replace(good, `{`, `{"x":1,`, 1),
		"trailing data":      good + "{}",
		"version 2":          strings.Replace(good, `"version":1`, `"version":2`, 1),
		"no version":         strings.Replace(good, `"version":1,`, ``, 1),
		"no blind":           strings.Replace(good, `"blind"`, `"x"`, 1),
		"blind null":         strings.Replace(good, `"blind":"`+want.Blind.String()+`"`, `"blind":null`, 1),
		"salt null":          strings.Replace(good, `"client_salt":"`+want.ClientSalt.String()+`"`, `"client_salt":null`, 1),
		"no request id":      strings.Replace(good, `"request_id":"`+want.RequestID.String()+`",`, ``, 1),
		"request id in caps": strings.Replace(good, want.RequestID.String(), strings.ToUpper(want.RequestID.String())+"A", 1),
		"event as object":    strings.Replace(good, `"{\"lot\":\"7\",\"ph\":[61,72]}"`, `{"lot":"7","ph":[61,72]}`, 1),
		"event not in JCS":   strings.Replace(good, `\"ph\":[61`, `\"ph\":[61.0`, 1),
		"no event":           strings.Replace(good, `"{\"lot\":\"7\",\"ph\":[61,72]}"`, `""`, 1),
		"huge":               strings.Repeat(" ", receipt.MaxOpeningSize) + good,
	} {
		t.Run(name, func(t *testing.T) {
			if in == good {
				t.Fatal("nothing was changed")
			}
			if _, err := receipt.ParseOpening([]byte(in)); err == nil {
				t.Error("was parsed")
			}
		})
	}
}

// An opening that could not be read again is not written.
func TestOpeningNotWritten(t *testing.T) {
	o := sharedScene().ranges.opening
	o.Event = `{"ph":[61,72],"lot":"7"}`
	if b, err := o.Encode(); err == nil {
		t.Errorf("an event that is not canonical became %s", b)
	}
}

func TestOpeningNeverPrints(t *testing.T) {
	o := sharedScene().ranges.opening
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("opened", "opening", o, "pointer", &o)
	marshalled, err := json.Marshal(map[string]any{"a": o, "b": &o})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprint(o), fmt.Sprintf("%v %+v %#v %s %q %x %d", o, o, o, o, o, o, o), fmt.Sprintf("%+v", &o),
		fmt.Sprintf("%+v", struct{ O receipt.Opening }{o}), log.String(), string(marshalled),
	} {
		if !strings.Contains(got, "redacted") || strings.Contains(got, "lot") || strings.Contains(got, o.Blind.String()) {
			t.Errorf("prints %q", got)
		}
	}
}

// fieldOpenings builds the tree of the record of recordJob from its opening,
// by section 6, and returns the opening of each field.
func fieldOpenings(o *receipt.Opening) []*receipt.FieldOpening {
	values := [8]protocol.Element{protocol.ValueElement([]byte(`"7"`)), protocol.TextElement([]byte("A"))}
	h := claim.Compress(protocol.EventElement([]byte(o.Event)), o.Blind)
	var leaves [8]protocol.Element
	for i, v := range values {
		leaves[i] = claim.Compress(v, protocol.SaltElement(o.Blind, uint8(i)))
	}
	node := func(first, n int) protocol.Element {
		level := leaves[first : first+n]
		for len(level) > 1 {
			var up []protocol.Element
			for i := 0; i < len(level); i += 2 {
				up = append(up, claim.Compress(level[i], level[i+1]))
			}
			level = up
		}
		return level[0]
	}
	var out []*receipt.FieldOpening
	for i, v := range values {
		out = append(out, &receipt.FieldOpening{
			I: i, Value: v, Salt: protocol.SaltElement(o.Blind, uint8(i)), H: h,
			Siblings: [3]protocol.Element{leaves[i^1], node((i>>1^1)<<1, 2), node((i>>2^1)<<2, 4)},
		})
	}
	return out
}

func TestFieldOpening(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.field, s.first)
	o := pinned(t, r)
	fields := fieldOpenings(&s.field.opening)
	for i, f := range fields {
		o.Field = f
		p := verify(t, r, o)
		wantValid(t, p)
		if want := fmt.Sprintf("client: only the client has seen an event behind the commitment; an opening would show it; field %d has", i); !strings.HasPrefix(p.Steps[4].Detail, want) {
			t.Errorf("binding says %q", p.Steps[4].Detail)
		}
	}
	for name, change := range map[string]func(*receipt.FieldOpening){
		"number":         func(f *receipt.FieldOpening) { f.I = 0 },
		"number 8":       func(f *receipt.FieldOpening) { f.I = 8 },
		"number below":   func(f *receipt.FieldOpening) { f.I = -1 },
		"value":          func(f *receipt.FieldOpening) { f.Value = protocol.TextElement([]byte("B")) },
		"salt":           func(f *receipt.FieldOpening) { f.Salt[31] ^= 1 },
		"sibling":        func(f *receipt.FieldOpening) { f.Siblings[2][31] ^= 1 },
		"h":              func(f *receipt.FieldOpening) { f.H[31] ^= 1 },
		"not an element": func(f *receipt.FieldOpening) { f.Siblings[1][0] = 0xff },
	} {
		t.Run(name, func(t *testing.T) {
			f := *fields[1]
			change(&f)
			o := o
			o.Field = &f
			wantFailed(t, verify(t, r, o), "binding", "")
		})
	}
	t.Run("not a record", func(t *testing.T) {
		r := s.receipt(s.open, s.first)
		o := pinned(t, r)
		o.Field = fields[1]
		wantFailed(t, verify(t, r, o), "binding", "not about a record")
	})
}

func TestFieldOpeningFile(t *testing.T) {
	want := fieldOpenings(&sharedScene().field.opening)[1]
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := receipt.ParseFieldOpening(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	good := string(b)
	for name, in := range map[string]string{
		"unknown member": strings.Replace(good, `{`, `{"x":1,`, 1),
		"no number":      strings.Replace(good, `"i":1,`, ``, 1),
		"no value":       strings.Replace(good, `"value":"`+want.Value.String()+`",`, ``, 1),
		"no h":           strings.Replace(good, `,"h":"`+want.H.String()+`"`, ``, 1),
		"number 8":       strings.Replace(good, `"i":1`, `"i":8`, 1),
		"number -1":      strings.Replace(good, `"i":1`, `"i":-1`, 1),
		"two siblings":   strings.Replace(good, `"siblings":["`+want.Siblings[0].String()+`",`, `"siblings":[`, 1),
		"sibling null":   strings.Replace(good, `"`+want.Siblings[0].String()+`"`, `null`, 1),
		"no salt":        strings.Replace(good, `"salt":"`+want.Salt.String()+`",`, ``, 1),
		"not an element": strings.Replace(good, want.H.String(), strings.Repeat("_", 42)+"8", 1),
		"huge":           strings.Repeat(" ", 5<<10) + good,
	} {
		t.Run(name, func(t *testing.T) {
			if in == good {
				t.Fatal("nothing was changed")
			}
			if _, err := receipt.ParseFieldOpening([]byte(in)); err == nil {
				t.Error("was parsed")
			}
		})
	}
}
