package receipt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func encode(tb testing.TB, r *receipt.Receipt) []byte {
	tb.Helper()
	b, err := r.Encode()
	if err != nil {
		tb.Fatalf("Encode: %v", err)
	}
	return b
}

func TestEncodeParse(t *testing.T) {
	s := sharedScene()
	for name, r := range map[string]*receipt.Receipt{
		"plain":   s.receipt(s.open, s.first),
		"flagged": s.receipt(s.ranges, s.second, s.revoke, s.retire),
	} {
		t.Run(name, func(t *testing.T) {
			b := encode(t, r)
			if !bytes.HasPrefix(b, []byte(`{"version":1,"leaf":"`)) || !bytes.HasSuffix(b, []byte(`]}`)) {
				t.Errorf("receipt is %.40q...", b)
			}
			got, err := receipt.Parse(b)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(r, got); diff != "" {
				t.Errorf("receipt changed on its way (-want +got):\n%s", diff)
			}
			if again := encode(t, got); !bytes.Equal(again, b) {
				t.Error("the receipt has two encodings")
			}
			var spaced bytes.Buffer
			if err := json.Indent(&spaced, b, "", "  "); err != nil {
				t.Fatal(err)
			}
			if got, err := receipt.Parse(append(spaced.Bytes(), '\n')); err != nil || !cmp.Equal(r, got) {
				t.Errorf("white space matters: %v", err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	s := sharedScene()
	r := s.receipt(s.ranges, s.second, s.revoke)
	good := string(encode(t, r))
	before := func(what string) string {
		front, _, _ := strings.Cut(good, what)
		return front
	}
	// replace changes the first occurrence of old.
	replace := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("receipt has no %q", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	many := `"flags":[` + strings.Repeat(`{"leaf":"AA","log":"x"},`, receipt.MaxFlags) + `{"leaf":"AA","log":"x"}]}`
	for name, tt := range map[string]struct {
		in   string
		code protocol.Code
	}{
		"empty":                    {"", protocol.CodeMalformedRequest},
		"no object":                {`[]`, protocol.CodeMalformedRequest},
		"no members":               {`{}`, protocol.CodeMalformedRequest},
		"trailing data":            {good + `{}`, protocol.CodeMalformedRequest},
		"byte order mark":          {"\ufeff" + good, protocol.CodeMalformedRequest},
		"cut short":                {good[:len(good)-1], protocol.CodeMalformedRequest},
		"unknown member":           {replace(`"version":1,`, `"version":1,"extra":1,`), protocol.CodeMalformedRequest},
		"unknown member of a pair": {replace(`"claim":{`, `"claim":{"x":1,`), protocol.CodeMalformedRequest},
		"member twice":             {replace(`"version":1,`, `"version":1,"version":1,`), protocol.CodeMalformedRequest},
		"member in capitals":       {replace(`"flags"`, `"Flags"`), protocol.CodeMalformedRequest},
		"version 2":                {replace(`"version":1`, `"version":2`), protocol.CodeMalformedRequest},
		"version as text":          {replace(`"version":1`, `"version":"1"`), protocol.CodeMalformedRequest},
		"no version":               {replace(`"version":1,`, ``), protocol.CodeMalformedRequest},
		"no flags":                 {before(`,"flags"`) + `}`, protocol.CodeMalformedRequest},
		"flags null":               {before(`"flags"`) + `"flags":null}`, protocol.CodeMalformedRequest},
		"no last":                  {before(`,"last"`) + `,"flags":[]}`, protocol.CodeMalformedRequest},
		"last null":                {replace(`"last":{`, `"last":null,"x":{`), protocol.CodeMalformedRequest},
		"claim null":               {replace(`"claim":{`, `"claim":null,"x":{`), protocol.CodeMalformedRequest},
		"padded base64":            {replace(`","log"`, `=","log"`), protocol.CodeMalformedRequest},
		"line end in base64":       {replace(`"leaf":"`, `"leaf":"\n`), protocol.CodeMalformedRequest},
		"standard base64":          {replace(`"leaf":"`, `"leaf":"++++`), protocol.CodeMalformedRequest},
		"empty leaf":               {`{"version":1,"leaf":"","log":"x","claim":{"leaf":"AA","log":"x"},"epoch":{"leaf":"AA","log":"x"},"signer":{"leaf":"AA","log":"x"},"last":{"leaf":"AA","log":"x"},"flags":[]}`, protocol.CodeMalformedRequest},
		"empty log":                {`{"version":1,"leaf":"AA","log":"","claim":{"leaf":"AA","log":"x"},"epoch":{"leaf":"AA","log":"x"},"signer":{"leaf":"AA","log":"x"},"last":{"leaf":"AA","log":"x"},"flags":[]}`, protocol.CodeMalformedRequest},
		"too many flags":           {before(`"flags"`) + many, protocol.CodeMalformedRequest},
		"huge":                     {strings.Repeat(" ", receipt.MaxSize) + good, protocol.CodeTooLarge},
		"huge log":                 {replace(`"log":"`, `"log":"`+strings.Repeat("x", receipt.MaxLogSize)), protocol.CodeTooLarge},
		"huge leaf":                {replace(`"leaf":"`, `"leaf":"`+strings.Repeat("AAAA", protocol.MaxLeafSize/3)), protocol.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := receipt.Parse([]byte(tt.in))
			if !errors.Is(err, tt.code) {
				t.Errorf("got %v, want code %s", err, tt.code)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	s := sharedScene()
	for name, change := range map[string]func(*receipt.Receipt){
		"no version":     func(r *receipt.Receipt) { r.Version = 0 },
		"no leaf":        func(r *receipt.Receipt) { r.Leaf = nil },
		"no log":         func(r *receipt.Receipt) { r.Signer.Log = "" },
		"too many flags": func(r *receipt.Receipt) { r.Flags = make([]receipt.Pair, receipt.MaxFlags+1) },
		"too large": func(r *receipt.Receipt) {
			for range receipt.MaxSize / receipt.MaxLogSize {
				r.Flags = append(r.Flags, receipt.Pair{Leaf: []byte{1}, Log: strings.Repeat("x", receipt.MaxLogSize)})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := clone(s.receipt(s.open, s.first))
			change(r)
			if b, err := r.Encode(); err == nil {
				t.Errorf("encoded to %d bytes", len(b))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(read(f, goldenReceipt))
	f.Add(read(f, goldenFlagged))
	f.Add([]byte(`{"version":1,"leaf":"AA","log":"c2sp.org/tlog-proof@v1\nindex 0\n\no\n1\nAAAA\n\n— o AAAA\n","claim":{"leaf":"AA","log":"x"},"epoch":{"leaf":"AA","log":"x"},"signer":{"leaf":"AA","log":"x"},"last":{"leaf":"AA","log":"x"},"flags":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := receipt.Parse(b)
		if err != nil {
			return
		}
		again, err := receipt.Parse(encode(t, r))
		if err != nil || !cmp.Equal(r, again) {
			t.Fatalf("what was parsed does not survive encoding: %v", err)
		}
		// The proof is left out because it is slow; package claim fuzzes its
		// decoder. Only the seeds are signed, so whatever verifies must be one of
		// them.
		if c, err := r.Checkpoint(); err == nil && c.Origin != testOrigin {
			t.Fatalf("a receipt of log %q verifies", c.Origin)
		}
	})
}
