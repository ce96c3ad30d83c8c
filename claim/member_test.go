package claim_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// secretOf is the member secret of a small integer.
func secretOf(t testing.TB, v uint64) claim.MemberSecret {
	t.Helper()
	e := protocol.SmallElement(v)
	secret, err := claim.ParseMemberSecret([]byte(protocol.Member(e).String()))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestMemberSecret(t *testing.T) {
	secret := secretOf(t, 5)
	one, scope := protocol.SmallElement(1), protocol.ScopeElement("Board", "vote")
	if secret.Member() != protocol.Member(claim.Compress(protocol.SmallElement(5), one)) {
		t.Error("the member is not C(sk, 1)")
	}
	if secret.Nullifier(scope) != protocol.Nullifier(claim.Compress(protocol.SmallElement(5), scope)) {
		t.Error("the nullifier is not C(sk, scope)")
	}
	drawn := claim.NewMemberSecret()
	if drawn.Member() == claim.NewMemberSecret().Member() {
		t.Error("secrets repeat")
	}
	again, err := claim.ParseMemberSecret(drawn.Encode())
	if err != nil || again.Member() != drawn.Member() || !bytes.HasSuffix(drawn.Encode(), []byte("\n")) {
		t.Errorf("the file form does not lead back: %v", err)
	}
}

func TestParseMemberSecret(t *testing.T) {
	good := strings.Repeat("0", 63) + "5"
	for _, test := range []struct {
		text string
		ok   bool
	}{
		{good, true},
		{good + "\n", true},
		{good + "\n\n", false},
		{good + "\r\n", false},
		{good + " ", false},
		{" " + good, false},
		{good[1:], false},
		{"0" + good, false},
		{strings.Repeat("A", 64), false},
		{strings.Repeat("0", 64), false},
		{strings.Repeat("f", 64), false},
		{"", false},
		{"\n", false},
	} {
		_, err := claim.ParseMemberSecret([]byte(test.text))
		if (err == nil) != test.ok || err != nil && strings.Contains(err.Error(), good) {
			t.Errorf("%q: got %v", test.text, err)
		}
	}
}

func TestCommitMember(t *testing.T) {
	alice, eve := secretOf(t, 2), secretOf(t, 9)
	l, err := claim.NewList("Board", testMembers(3)) // of the secrets 1, 2, 3
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := claim.NewList("Bored", testMembers(3))
	if err != nil {
		t.Fatal(err)
	}
	grown, err := claim.NewList("Board", testMembers(4))
	if err != nil {
		t.Fatal(err)
	}
	params := func(l *claim.List, secret claim.MemberSecret) *claim.Params {
		raw, err := claim.GroupParams(l, "vote:1", secret)
		if err != nil {
			t.Fatal(err)
		}
		p, err := claim.ParseParams(claim.Group, raw)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	// The id of the list with another name would lead to a second nullifier.
	lied := mustParams(t, claim.Group, edit(t, string(params(l, alice).Bytes()), "name", `"Bored"`))

	nullifier := eve.Nullifier(protocol.ScopeElement("Board", "vote:1"))
	ofEve := mustParams(t, claim.Group, edit(t, string(params(l, alice).Bytes()), "nullifier", `"`+nullifier.String()+`"`))

	for _, test := range []struct {
		name   string
		p      *claim.Params
		list   *claim.List
		secret claim.MemberSecret
		want   protocol.Code
	}{
		{"listed", params(l, alice), l, alice, protocol.CodeNone},
		{"not listed", params(l, alice), l, eve, protocol.CodeStatementFalse},
		{"not listed, but the nullifier is of this secret", ofEve, l, eve, protocol.CodeStatementFalse},
		{"another member's nullifier", params(l, secretOf(t, 1)), l, alice, protocol.CodeStatementFalse},
		{"another electorate", params(renamed, alice), l, alice, protocol.CodeMalformedRequest},
		{"another revision", params(grown, alice), l, alice, protocol.CodeMalformedRequest},
		{"a false name", lied, l, alice, protocol.CodeMalformedRequest},
		{"another claim", mustParams(t, claim.Open, "{}"), l, alice, protocol.CodeMalformedRequest},
	} {
		cm, a, err := claim.CommitMember(test.p, []byte("{}"), claim.NewBlind(), test.list, test.secret)
		if protocol.CodeOf(err) != test.want {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if err == nil {
			checkHolds(t, test.p, cm, a, protocol.CodeNone)
			wrong := claim.NewAssignment(claim.Group, protocol.SmallElement(1))
			checkHolds(t, test.p, cm, wrong, protocol.CodeStatementFalse)
		}
	}
	if _, _, err := claim.CommitMember(params(l, alice), []byte("{"), claim.NewBlind(), l, alice); protocol.CodeOf(err) != protocol.CodeEventNotCanonicalisable {
		t.Errorf("bad event: got %v", err)
	}
}

func TestGroupParams(t *testing.T) {
	l, err := claim.NewList("Café <board> & \"friends\"", testMembers(3))
	if err != nil {
		t.Fatal(err)
	}
	secret := secretOf(t, 1)
	raw, err := claim.GroupParams(l, "vote:1", secret)
	if err != nil {
		t.Fatal(err)
	}
	p, err := claim.ParseParams(claim.Group, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckList(l); err != nil {
		t.Error(err)
	}
	id, _ := p.List()
	scope, nullifier, _ := p.Nullifier()
	wantScope := protocol.ScopeElement(l.Name(), "vote:1")
	if id != l.ID() || scope != wantScope || nullifier != secret.Nullifier(wantScope) {
		t.Errorf("got %s", raw)
	}
	if _, err := claim.GroupParams(l, "Vote 1", secret); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("bad scope: got %v", err)
	}
	if _, err := claim.GroupParams(l, "vote:1", secretOf(t, 4)); protocol.CodeOf(err) != protocol.CodeStatementFalse {
		t.Errorf("not listed: got %v", err)
	}
}
