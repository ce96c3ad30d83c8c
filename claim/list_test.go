package claim_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// threeMembers are members in order.
func threeMembers() []protocol.Member {
	members := testMembers(3)
	slices.SortFunc(members, func(a, b protocol.Member) int { return bytes.Compare(a[:], b[:]) })
	return members
}

func TestListRoundTrip(t *testing.T) {
	members := threeMembers()
	l, err := claim.NewList("Board of the co-operative", []protocol.Member{members[2], members[0], members[1]})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Members(), members) || l.Name() != "Board of the co-operative" {
		t.Errorf("got %q, %v", l.Name(), l.Members())
	}
	if want := protocol.ListDigest(l.Name(), members); l.ID() != want {
		t.Errorf("got id %v, want %v", l.ID(), want)
	}
	again, err := claim.ParseList(l.Encode())
	if err != nil || again.ID() != l.ID() {
		t.Errorf("got %v from %s", err, l.Encode())
	}
	l.Members()[0] = protocol.Member{}
	if !slices.Equal(l.Members(), members) {
		t.Error("the list changed")
	}
}

func TestParseList(t *testing.T) {
	m := threeMembers()
	file := func(name string, members ...string) string {
		return fmt.Sprintf(`{"name":%q,"members":["%s"]}`, name, strings.Join(members, `","`))
	}
	const tooBig = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
	a, b := m[0].String(), m[1].String()
	for _, test := range []struct {
		name, file string
		ok         bool
	}{
		{"good", file("x", a, b), true},
		{"one member", file("x", a), true},
		{"other order of names", `{"members":["` + a + `"],"name":"x"}`, true},
		{"layout", "{ \"name\" : \"x\",\n \"members\" : [\n\"" + a + "\" ] }\n", true},
		{"not sorted", file("x", b, a), false},
		{"twice", file("x", a, a), false},
		{"no members", `{"name":"x","members":[]}`, false},
		{"members null", `{"name":"x","members":null}`, false},
		{"member null", `{"name":"x","members":[null]}`, false},
		{"members absent", `{"name":"x"}`, false},
		{"name absent", `{"members":["` + a + `"]}`, false},
		{"name empty", file("", a), false},
		{"name long", file(strings.Repeat("n", 129), a), false},
		{"name with a control character", `{"name":"a\u0000","members":["` + a + `"]}`, false},
		{"name not text", `{"name":1,"members":["` + a + `"]}`, false},
		{"name twice", `{"name":"x","name":"x","members":["` + a + `"]}`, false},
		{"unknown member", `{"name":"x","members":["` + a + `"],"more":0}`, false},
		{"upper case name", `{"Name":"x","members":["` + a + `"]}`, false},
		{"upper case member", file("x", strings.ToUpper(a)), false},
		{"short member", file("x", a[2:]), false},
		{"not reduced", file("x", tooBig), false},
		{"trailing data", file("x", a) + "{}", false},
		{"not an object", `["` + a + `"]`, false},
		{"empty", "", false},
	} {
		l, err := claim.ParseList([]byte(test.file))
		if (err == nil) != test.ok || (l != nil) != test.ok {
			t.Errorf("%s: got %v", test.name, err)
		}
		if !test.ok && protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s: got code %v", test.name, protocol.CodeOf(err))
		}
	}
}

func TestListLimits(t *testing.T) {
	members := make([]protocol.Member, claim.MaxMembers+1)
	for i := range members {
		members[i] = protocol.Member(protocol.SmallElement(uint64(i)))
	}
	l, err := claim.NewList(strings.Repeat("n", 128), members[1:])
	if err != nil {
		t.Fatal(err)
	}
	if again, err := claim.ParseList(l.Encode()); err != nil || again.ID() != l.ID() {
		t.Errorf("the greatest list is refused: %v", err)
	}
	indented := bytes.ReplaceAll(l.Encode(), []byte(","), []byte(",\n                "))
	if _, err := claim.ParseList(indented); err != nil {
		t.Errorf("the greatest list, indented, is refused: %v", err)
	}
	if _, err := claim.NewList("n", members); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("one member more: got %v", err)
	}
	if _, err := claim.NewList("n", []protocol.Member{members[1], members[1]}); err == nil {
		t.Error("a member stands twice")
	}
	members[0][0] = 0xff
	if _, err := claim.NewList("n", members[:2]); err == nil {
		t.Error("a member is no field element")
	}
	if _, err := claim.NewList("n\xff", members[1:]); err == nil {
		t.Error("the name is not UTF-8")
	}
	if _, err := claim.ParseList(bytes.Repeat([]byte(" "), claim.MaxListSize+1)); protocol.CodeOf(err) != protocol.CodeTooLarge {
		t.Errorf("too large a file: got %v", err)
	}
}

// TestNamesFollowUnicode15: a name is refused or taken by the tables of Unicode 15.0, which
// the specification names, since every verifier must decide alike. If a toolchain brings
// newer tables, package claim needs its own, or the specification a new sentence.
func TestNamesFollowUnicode15(t *testing.T) {
	for name, want := range map[string]bool{
		"Kawi \U00011F00":       true,  // since 15.0
		"ideograph \U0002EBF0":  false, // since 15.1
		"Cyrillic \u1C89":       false, // since 16.0
		"no-break space \u00A0": false,
	} {
		if _, err := claim.NewList(name, testMembers(1)); (err == nil) != want {
			t.Errorf("%q: taken is %v, want %v", name, err == nil, want)
		}
	}
}

// TestListRevisions shows which changes change the id.
func TestListRevisions(t *testing.T) {
	m := threeMembers()
	seen := make(map[protocol.ListID]string)
	for _, test := range []struct {
		name    string
		members []protocol.Member
	}{{"a", m}, {"b", m}, {"a", m[:2]}, {"a", m[1:]}} {
		l, err := claim.NewList(test.name, test.members)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[l.ID()]; ok {
			t.Errorf("%s and %s have one id", test.name, other)
		}
		seen[l.ID()] = test.name
	}
}

func FuzzParseList(f *testing.F) {
	l, err := claim.NewList("x", threeMembers())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(l.Encode())
	f.Add([]byte(`{"name":"\ud83d\ude00","members":["` + zeroList + `"]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		l, err := claim.ParseList(file)
		if err != nil {
			if code := protocol.CodeOf(err); code != protocol.CodeMalformedRequest && code != protocol.CodeTooLarge {
				t.Errorf("code %v", code)
			}
			return
		}
		again, err := claim.ParseList(l.Encode())
		if err != nil || again.ID() != l.ID() {
			t.Errorf("%s is refused: %v", l.Encode(), err)
		}
	})
}
