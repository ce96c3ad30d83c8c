package claims_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/poseidon"
	"github.com/terradourada/td/proof/transcript"
	"github.com/terradourada/td/protocol"
)

func params(t testing.TB, id, jcs string) *claims.Params {
	t.Helper()
	p, err := claims.ParseParams(id, []byte(jcs))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// seriesParams writes parameters of series-range/1; changes replace texts of them.
func seriesParams(changes ...string) string {
	return strings.NewReplacer(changes...).Replace(`{"at":"/readings","count":3,"hi":21.5,"lo":18,"offset":0,"scale":1,"sumhi":62,"sumlo":58.5}`)
}

// TestSeriesParams: each rule of the JSON form of a series, and each verdict on an event.
func TestSeriesParams(t *testing.T) {
	const event = `{"readings":[18,20.5,21.5]}`
	for name, c := range map[string]struct {
		params, event string
		want          protocol.Code
	}{
		"good":                     {seriesParams(), event, 0},
		"at the bounds":            {seriesParams(`58.5`, `60`, `62`, `60`), event, 0},
		"a mean alone":             {seriesParams(`62`, `64.5`, `58.5`, `54`), event, 0},
		"one reading":              {`{"at":"/r/0","count":1,"hi":1073741823,"lo":0,"offset":0,"scale":0,"sumhi":1073741823,"sumlo":0}`, `{"r":[[1073741823]]}`, 0},
		"offset in the sum":        {`{"at":"/r","count":2,"hi":5,"lo":-25,"offset":2500,"scale":2,"sumhi":-19.5,"sumlo":-20}`, `{"r":[-25,5]}`, 0},
		"largest offset":           {`{"at":"/r","count":2,"hi":-9007199254740990,"lo":-9007199254740991,"offset":9007199254740991,"scale":0,"sumhi":-18014398509481980,"sumlo":-18014398509481982}`, `{"r":[-9007199254740991,-9007199254740990]}`, 0},
		"a sum that needs a text":  {`{"at":"/r","count":3,"hi":-9007199254740990,"lo":-9007199254740991,"offset":9007199254740991,"scale":0,"sumhi":"-27021597764222971","sumlo":"-27021597764222973"}`, `{"r":[-9007199254740991,-9007199254740990,-9007199254740990]}`, 0},
		"text that a number holds": {seriesParams(`62`, `"62"`), event, protocol.CodeMalformedRequest},
		"text as a bound":          {seriesParams(`"lo":18`, `"lo":"18"`), event, protocol.CodeMalformedRequest},
		"no member":                {`{}`, event, protocol.CodeMalformedRequest},
		"unknown member":           {seriesParams(`"count"`, `"c":1,"count"`), event, protocol.CodeMalformedRequest},
		"missing member":           {seriesParams(`"offset":0,`, ``), event, protocol.CodeMalformedRequest},
		"not canonical":            {seriesParams(`21.5`, `21.50`), event, protocol.CodeMalformedRequest},
		"too long":                 {seriesParams(`/readings`, "/"+strings.Repeat("a", 2048)), event, protocol.CodeMalformedRequest},
		"no pointer":               {seriesParams(`"/readings"`, `"readings"`), event, protocol.CodeMalformedRequest},
		"list of pointers":         {seriesParams(`"/readings"`, `["/readings"]`), event, protocol.CodeMalformedRequest},
		"no readings":              {seriesParams(`"count":3`, `"count":0`), event, protocol.CodeMalformedRequest},
		"1025 readings":            {seriesParams(`"count":3`, `"count":1025`, `62`, `22000`, `58.5`, `20000`), event, protocol.CodeMalformedRequest},
		"half a reading":           {seriesParams(`"count":3`, `"count":2.5`), event, protocol.CodeMalformedRequest},
		"scale 19":                 {seriesParams(`"scale":1`, `"scale":19`), event, protocol.CodeMalformedRequest},
		"offset 2^53":              {seriesParams(`"offset":0`, `"offset":9007199254740992`), event, protocol.CodeMalformedRequest},
		"lo above hi":              {seriesParams(`"lo":18`, `"lo":22`), event, protocol.CodeMalformedRequest},
		"lo below 0":               {seriesParams(`"lo":18`, `"lo":-1`), event, protocol.CodeMalformedRequest},
		"inexact bound":            {seriesParams(`21.5`, `21.55`), event, protocol.CodeMalformedRequest},
		"hi of 31 bits":            {seriesParams(`21.5`, `107374182.4`), event, protocol.CodeMalformedRequest},
		"sumlo above sumhi":        {seriesParams(`58.5`, `62.1`), event, protocol.CodeMalformedRequest},
		"sumlo below all":          {seriesParams(`58.5`, `53.9`), event, protocol.CodeMalformedRequest},
		"sumhi above all":          {seriesParams(`62`, `64.6`), event, protocol.CodeMalformedRequest},
		"inexact sum":              {seriesParams(`58.5`, `58.55`), event, protocol.CodeMalformedRequest},
		"event not canonical":      {seriesParams(), `{"readings": [18,20.5,21.5]}`, protocol.CodeEventNotCanonicalisable},
		"no list":                  {seriesParams(), `{"reading":[]}`, protocol.CodeEventNotEncodable},
		"a number":                 {seriesParams(), `{"readings":18}`, protocol.CodeEventNotEncodable},
		"empty list":               {seriesParams(), `{"readings":[]}`, protocol.CodeEventNotEncodable},
		"short list":               {seriesParams(), `{"readings":[18,20]}`, protocol.CodeEventNotEncodable},
		"long list":                {seriesParams(), `{"readings":[18,20,20,20]}`, protocol.CodeEventNotEncodable},
		"a text in the list":       {seriesParams(), `{"readings":[18,"20",20]}`, protocol.CodeEventNotEncodable},
		"a list in the list":       {seriesParams(), `{"readings":[18,[20],20]}`, protocol.CodeEventNotEncodable},
		"inexact reading":          {seriesParams(), `{"readings":[18,20.55,20]}`, protocol.CodeEventNotEncodable},
		"reading below 0":          {seriesParams(), `{"readings":[18,-0.1,20]}`, protocol.CodeEventNotEncodable},
		"reading of 31 bits":       {seriesParams(), `{"readings":[18,107374182.4,20]}`, protocol.CodeEventNotEncodable},
		"reading below lo":         {seriesParams(), `{"readings":[17.9,21,21]}`, protocol.CodeStatementFalse},
		"reading above hi":         {seriesParams(), `{"readings":[21.6,20,20]}`, protocol.CodeStatementFalse},
		"sum too low":              {seriesParams(), `{"readings":[18,20,20.4]}`, protocol.CodeStatementFalse},
		"sum too high":             {seriesParams(), `{"readings":[21.5,20.5,20.1]}`, protocol.CodeStatementFalse},
	} {
		err := commitAndProve("series-range/1", c.params, c.event)
		if protocol.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if refused := (*rules.Refusal)(nil); errors.As(err, &refused) && refused.Explain() == "" {
			t.Errorf("%s: no explanation", name)
		}
	}
}

// commitAndProve goes from JSON to a proof, and verifies it with the statement that a
// verifier makes of the parameters.
func commitAndProve(id, jcs, event string) error {
	p, err := claims.ParseParams(id, []byte(jcs))
	if err != nil {
		return err
	}
	w, err := claims.Commit(p, []byte(event), digest("r"))
	if err != nil {
		return err
	}
	s, err := p.Statement(claims.CommitmentOf(w.Statement()), nil)
	if err != nil {
		return err
	}
	proof, err := suite.Prove(ligero.NewCoins(), w.In(session("")))
	if err != nil {
		return err
	}
	return suite.Verify(proof, in(s)...)
}

// TestRecordValues: the kinds of values have labels of their own, and e is that of the event.
func TestRecordValues(t *testing.T) {
	p := params(t, "record-oneof/1", `{"field":1,"offset":3,"scale":1,"schema":["/a","/b"],"values":["true",true,0.2]}`)
	s, err := p.Statement(digest("cm"), nil)
	if err != nil {
		t.Fatal(err)
	}
	five := claims.Integer(5)
	want := claims.RecordOneOf{Commitment: digest("cm"), Field: 1, Values: [claims.Choices]claims.Digest{
		claims.HashToDigest("TD-V2-text", []byte("true")), claims.HashToDigest("TD-V2-literal", []byte("true")), five, five, five, five, five, five,
	}}
	if s != want {
		t.Errorf("got %v, want %v", s, want)
	}
	const event = `{"a":{"x":[1]},"b":0.2}`
	w, err := claims.Commit(p, []byte(event), digest("r"))
	if err != nil {
		t.Fatal(err)
	}
	record := claims.Record{claims.HashToDigest("TD-V2-value", []byte(`{"x":[1]}`)), five}
	e := claims.HashToDigest("TD-V2-event", []byte(event))
	if got, want := w.Statement(), claims.NewRecordOneOf(e, digest("r"), record, 1, want.Values).Statement(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// electorate is a list of n members with their secrets.
func electorate(t testing.TB, n int) (*claims.List, []claims.Digest) {
	t.Helper()
	_, secrets := list(t, n)
	members := make([]claims.Digest, n)
	for i, sk := range secrets {
		members[i] = claims.MemberOf(sk)
	}
	l, err := claims.NewList("board", members)
	if err != nil {
		t.Fatal(err)
	}
	return l, secrets
}

// TestGroup goes from the list file and the parameters to a proof, for every member.
func TestGroup(t *testing.T) {
	l, secrets := electorate(t, 5)
	again, err := claims.ParseList(l.Encode())
	if err != nil || again.ID() != l.ID() || again.Name() != "board" {
		t.Fatalf("%v, %v", again, err)
	}
	const event = `{"vote":"yes"}`
	seen := map[string]bool{}
	for i, sk := range secrets {
		raw, err := claims.GroupParams(l, "board/2026", sk)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(raw)] = true
		p := params(t, "group/1", string(raw))
		w, err := claims.CommitMember(p, []byte(event), digest("r"), l, sk)
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Statement(claims.CommitmentOf(w.Statement()), again)
		if err != nil {
			t.Fatal(err)
		}
		if err := suite.Verify(prove(t, w), in(s)...); err != nil {
			t.Errorf("member %d: %v", i, err)
		}
		if _, err := claims.CommitMember(p, []byte(event), digest("r"), l, secrets[(i+1)%5]); protocol.CodeOf(err) != protocol.CodeStatementFalse {
			t.Errorf("the nullifier of another member: %v", err)
		}
		if _, err := claims.CommitMember(p, []byte(`{ }`), digest("r"), l, sk); protocol.CodeOf(err) != protocol.CodeEventNotCanonicalisable {
			t.Errorf("an event that is not canonical: %v", err)
		}
		if _, err := claims.CommitMember(p, []byte(event), digest("r"), l, digest("stranger")); protocol.CodeOf(err) != protocol.CodeStatementFalse {
			t.Errorf("a stranger: %v", err)
		}
		if _, err := claims.Commit(p, []byte(event), digest("r")); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("without a secret: %v", err)
		}
	}
	if len(seen) != 5 {
		t.Errorf("5 members have %d nullifiers", len(seen))
	}
}

// TestOtherLists: every party that has the list refuses parameters that name another one.
func TestOtherLists(t *testing.T) {
	l, secrets := electorate(t, 3)
	more, _ := electorate(t, 4)
	var members []claims.Digest
	for _, sk := range secrets {
		members = append(members, claims.MemberOf(sk))
	}
	renamed, err := claims.NewList("other board", members)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := claims.GroupParams(l, "s", secrets[0])
	if err != nil {
		t.Fatal(err)
	}
	p := params(t, "group/1", string(raw))
	id := renamed.ID().String()
	falseName := params(t, "group/1", strings.NewReplacer(l.ID().String(), id).Replace(string(raw)))
	for name, c := range map[string]struct {
		p *claims.Params
		l *claims.List
	}{"another revision": {p, more}, "another name": {p, renamed}, "a false name": {falseName, renamed}} {
		if _, err := c.p.Statement(digest("cm"), c.l); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s: statement: %v", name, err)
		}
		if _, err := claims.CommitMember(c.p, []byte(`{}`), digest("r"), c.l, secrets[0]); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s: commitment: %v", name, err)
		}
	}
	if _, err := p.Statement(digest("cm"), nil); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("without a list: %v", err)
	}
	if _, err := claims.CommitMember(params(t, "open/1", `{}`), []byte(`{}`), digest("r"), l, secrets[0]); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("open/1 with a secret: %v", err)
	}
	if _, err := claims.GroupParams(l, "A", secrets[0]); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("a scope with a capital: %v", err)
	}
	if _, err := claims.GroupParams(l, "a", digest("stranger")); protocol.CodeOf(err) != protocol.CodeStatementFalse {
		t.Errorf("parameters of a stranger: %v", err)
	}
}

func TestListsRefused(t *testing.T) {
	l, _ := electorate(t, 3)
	file := string(l.Encode())
	texts := strings.Split(file, `"`)
	first, second := texts[7], texts[9]
	for name, c := range map[string]struct {
		file string
		want protocol.Code
	}{
		"good":           {file, 0},
		"any layout":     {" " + file, 0},
		"not sorted":     {strings.NewReplacer(first, second, second, first).Replace(file), protocol.CodeMalformedRequest},
		"twice":          {strings.Replace(file, second, first, 1), protocol.CodeMalformedRequest},
		"capitals":       {strings.Replace(file, first, strings.ToUpper(first), 1), protocol.CodeMalformedRequest},
		"no digest":      {strings.Replace(file, first, strings.Repeat("f", 64), 1), protocol.CodeMalformedRequest},
		"short member":   {strings.Replace(file, first, first[1:], 1), protocol.CodeMalformedRequest},
		"no members":     {`{"name":"board","members":[]}`, protocol.CodeMalformedRequest},
		"no name":        {strings.Replace(file, "board", "", 1), protocol.CodeMalformedRequest},
		"control":        {strings.Replace(file, "board", `\u0007`, 1), protocol.CodeMalformedRequest},
		"unknown member": {strings.Replace(file, `"name"`, `"x":1,"name"`, 1), protocol.CodeMalformedRequest},
		"not JSON":       {file[1:], protocol.CodeMalformedRequest},
		"too large":      {strings.Repeat(" ", claims.MaxListSize) + file, protocol.CodeTooLarge},
	} {
		if _, err := claims.ParseList([]byte(c.file)); protocol.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := claims.NewList("board", make([]claims.Digest, 2)); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("the same member twice: %v", err)
	}
	if _, err := claims.NewList("board", make([]claims.Digest, claims.MaxMembers+1)); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("too many members: %v", err)
	}
}

// TestLists has list id, root and scope by their formulas.
func TestLists(t *testing.T) {
	a, b := digest("a"), digest("b")
	x, y := claims.AppendDigest(nil, a), claims.AppendDigest(nil, b)
	if bytes.Compare(x, y) > 0 {
		a, b, x, y = b, a, y, x
	}
	l, err := claims.NewList("board", []claims.Digest{b, a})
	if err != nil {
		t.Fatal(err)
	}
	if want := transcript.Digest("TD-V2-list", []byte("board"), x, y); l.ID() != protocol.ListID(want) {
		t.Errorf("the id is %v, want %x", l.ID(), want)
	}
	if want := fmt.Sprintf("{\"name\":\"board\",\"members\":[\"%x\",\"%x\"]}\n", x, y); string(l.Encode()) != want {
		t.Errorf("the file is %s, want %s", l.Encode(), want)
	}
	p := params(t, "group/1", fmt.Sprintf(`{"list":"%v","name":"board","nullifier":"%x","scope":"s"}`, l.ID(), y))
	s, err := p.Statement(digest("cm"), l)
	if err != nil {
		t.Fatal(err)
	}
	scope := transcript.Digest("TD-V2-scope", []byte("board"), []byte("s"))
	want := claims.Member{Commitment: digest("cm"), Root: poseidon.Compress(a, b), Scope: claims.HashToDigest("TD-V2-scope", scope[:]), Nullifier: b, Depth: 1}
	if s != want {
		t.Errorf("got %v, want %v", s, want)
	}
}

// TestLargestListFits: a file of as many members as a list can have is within its bound.
func TestLargestListFits(t *testing.T) {
	if most := claims.MaxMembers*(64+3) + 6*128 + 64; most > claims.MaxListSize {
		t.Errorf("a list of %d members has up to %d bytes", claims.MaxMembers, most)
	}
}

func TestParamsKept(t *testing.T) {
	for _, id := range claims.IDs() {
		if _, err := claims.ParseParams(id, []byte(`{"x":1}`)); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := claims.ParseParams("open/2", []byte(`{}`)); protocol.CodeOf(err) != protocol.CodeUnknownClaim {
		t.Errorf("open/2: %v", err)
	}
	p := params(t, "series-range/1", seriesParams())
	if p.Claim() != "series-range/1" || string(p.Bytes()) != seriesParams() {
		t.Errorf("%s %s", p.Claim(), p.Bytes())
	}
	nullifier := strings.Repeat("7f000001", 8)
	raw := fmt.Sprintf(`{"list":%q,"name":"n","nullifier":%q,"scope":"s"}`, nullifier, nullifier)
	if _, err := claims.ParseParams("group/1", []byte(raw)); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("a nullifier of the modulus: %v", err)
	}
}

// FuzzSeriesParams: what is accepted keeps its bytes and is a statement by the rule of the
// claim.
func FuzzSeriesParams(f *testing.F) {
	f.Add([]byte(seriesParams()))
	f.Add([]byte(`{"at":"/r","count":2,"hi":5,"lo":-25,"offset":2500,"scale":2,"sumhi":-19.5,"sumlo":-20}`))
	f.Add([]byte(`{"at":"/r","count":3,"hi":-9007199254740990,"lo":-9007199254740991,"offset":9007199254740991,"scale":0,"sumhi":"-27021597764222971","sumlo":"-27021597764222973"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := claims.ParseParams("series-range/1", raw)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeMalformedRequest {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(p.Bytes(), raw) {
			t.Errorf("%s is kept as %s", raw, p.Bytes())
		}
		s, err := p.Statement(claims.Digest{field.One}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %+v: %v", raw, s, err)
		}
	})
}
