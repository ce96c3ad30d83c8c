package protocol_test

import (
	"encoding"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

// texter is the interface of every value with a text form.
type texter interface {
	fmt.Stringer
	encoding.TextAppender
	encoding.TextMarshaler
}

// textTypes lists every type with a text form: how to parse it and its vector.
var textTypes = []struct {
	name, kind string
	parse      func(string) (texter, error)
	target     func() encoding.TextUnmarshaler
}{
	{"RequestID", "id", parsed(protocol.Parse[protocol.RequestID]), target[protocol.RequestID]},
	{"EpochID", "id", parsed(protocol.Parse[protocol.EpochID]), target[protocol.EpochID]},
	{"InstanceID", "id", parsed(protocol.Parse[protocol.InstanceID]), target[protocol.InstanceID]},
	{"ListID", "list", parsed(protocol.Parse[protocol.ListID]), target[protocol.ListID]},
	{"Member", "member", parsed(protocol.Parse[protocol.Member]), target[protocol.Member]},
	{"Nullifier", "member", parsed(protocol.Parse[protocol.Nullifier]), target[protocol.Nullifier]},
	{"Nonce", "digest", parsed(protocol.Parse[protocol.Nonce]), target[protocol.Nonce]},
	{"Salt", "digest", parsed(protocol.Parse[protocol.Salt]), target[protocol.Salt]},
	{"Digest", "digest", parsed(protocol.Parse[protocol.Digest]), target[protocol.Digest]},
	{"Tag", "digest", parsed(protocol.Parse[protocol.Tag]), target[protocol.Tag]},
	{"Element", "element", parsed(protocol.Parse[protocol.Element]), target[protocol.Element]},
	{"Anchor", "element", parsed(protocol.Parse[protocol.Anchor]), target[protocol.Anchor]},
	{"Commitment", "element", parsed(protocol.Parse[protocol.Commitment]), target[protocol.Commitment]},
}

func parsed[T texter](parse func(string) (T, error)) func(string) (texter, error) {
	return func(s string) (texter, error) { return parse(s) }
}

func target[T any, P interface {
	*T
	encoding.TextUnmarshaler
}]() encoding.TextUnmarshaler {
	return P(new(T))
}

type textVector struct {
	Kind, Text string
	Bytes      hexBytes
	Refused    []string
}

func TestTextForms(t *testing.T) {
	var v struct{ Texts []textVector }
	readVectors(t, "text.json", &v)
	for _, typ := range textTypes {
		tested := 0
		for i := range v.Texts {
			if row := &v.Texts[i]; row.Kind == typ.kind {
				t.Run(typ.name, func(t *testing.T) { checkText(t, row, typ.parse, typ.target) })
				tested++
			}
		}
		if tested == 0 {
			t.Errorf("%s has no vector", typ.name)
		}
	}
}

func checkText(t *testing.T, row *textVector, parse func(string) (texter, error), target func() encoding.TextUnmarshaler) {
	t.Helper()
	value, err := parse(row.Text)
	if err != nil {
		t.Fatal(err)
	}
	marshalled, _ := value.MarshalText()
	appended, _ := value.AppendText([]byte("x"))
	for form, got := range map[string]string{"String": value.String(), "MarshalText": string(marshalled), "AppendText": string(appended[1:])} {
		if got != row.Text {
			t.Errorf("%s = %q, want %q", form, got, row.Text)
		}
	}
	bytes := reflect.New(reflect.TypeOf(value)).Elem() // a copy that can be sliced
	bytes.Set(reflect.ValueOf(value))
	if got := hex.EncodeToString(bytes.Slice(0, bytes.Len()).Bytes()); got != hex.EncodeToString(row.Bytes) {
		t.Errorf("bytes = %s, want %x", got, []byte(row.Bytes))
	}
	for _, text := range row.Refused {
		if _, err := parse(text); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%q: error = %v, want malformed_request", text, err)
		} else if len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: the error repeats it", text)
		}
		into := target()
		if err := into.UnmarshalText([]byte(row.Text)); err != nil {
			t.Fatal(err)
		}
		_ = into.UnmarshalText([]byte(text))
		if got := into.(fmt.Stringer).String(); got != row.Text {
			t.Errorf("%q: a refusal changed the value to %s", text, got)
		}
	}
}

func TestDecodeBase64(t *testing.T) {
	for n := range 70 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(37 * (i + n))
		}
		got, err := protocol.DecodeBase64(protocol.EncodeBase64(b))
		if err != nil || string(got) != string(b) {
			t.Errorf("%d bytes come back as %x, %v", n, got, err)
		}
	}
	for _, s := range []string{"A", "AA=", "AA==", "AB", "AAB", "AAAAA", "AA\n", "A A", "AA\r\n", "+A", "/A", "A\x00", "é"} {
		if _, err := protocol.DecodeBase64(s); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%q: error = %v, want malformed_request", s, err)
		}
	}
}

func TestEqual(t *testing.T) {
	var d, same, e protocol.Digest
	e[31] = 1
	for _, right := range []bool{
		protocol.Tag(d).Equal(protocol.Tag(same)), protocol.Element(d).Equal(protocol.Element(same)), d.Equal(same),
		!protocol.Tag(d).Equal(protocol.Tag(e)), !protocol.Element(d).Equal(protocol.Element(e)), !d.Equal(e),
	} {
		if !right {
			t.Error("Equal is wrong")
		}
	}
}

func TestCheckElement(t *testing.T) {
	below := protocol.SmallElement(0)
	modulus.FillBytes(below[:])
	if protocol.CheckElement(below[:]) == nil {
		t.Error("the modulus passes")
	}
	below[31]--
	if err := protocol.CheckElement(below[:]); err != nil {
		t.Errorf("the modulus less one: %v", err)
	}
	for _, n := range []int{0, 31, 33, 64} {
		if protocol.CheckElement(make([]byte, n)) == nil {
			t.Errorf("%d bytes pass", n)
		}
	}
	if got := protocol.SmallElement(0x0102030405060708); hex.EncodeToString(got[24:]) != "0102030405060708" || got[23] != 0 {
		t.Errorf("small element = %x", got)
	}
}
