package principal_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

var start = time.UnixMilli(1_800_000_000_000)

// TestKeyText: a key has one text, in the form that scanners look for, and every text
// that differs from it in one character is refused.
func TestKeyText(t *testing.T) {
	form := regexp.MustCompile(`^tdk_[a-z2-7]{64}$`)
	for range 50 {
		k := principal.NewKey()
		text := k.Text()
		if !form.MatchString(text) || len(text) != principal.KeySize {
			t.Fatalf("the text of a key has another form, %d bytes", len(text))
		}
		again, err := principal.ParseKey(text)
		if err != nil || again.ID() != k.ID() || again.Digest() != k.Digest() {
			t.Fatalf("the text does not parse: %v", err)
		}
	}
	k := principal.NewKey()
	text := k.Text()
	for i := range text {
		for _, c := range []byte("aQ7\n-") {
			if b := []byte(text); b[i] != c {
				b[i] = c
				if _, err := principal.ParseKey(string(b)); err == nil && b[i] != text[i] {
					t.Errorf("a key with another character at %d parses", i)
				}
			}
		}
	}
	for _, wrong := range []string{"", "tdk_", text[:len(text)-1], text + "a", " " + text, strings.ToUpper(text), text[4:]} {
		if _, err := principal.ParseKey(wrong); err == nil {
			t.Errorf("a text of %d bytes parses", len(wrong))
		} else if wrong != "" && len(wrong) > 4 && strings.Contains(err.Error(), wrong) {
			t.Error("the error repeats the key")
		}
	}
}

// TestKeyIsHidden: formatting a key does not show it.
func TestKeyIsHidden(t *testing.T) {
	k := principal.NewKey()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		text := fmt.Sprintf(verb, k)
		if strings.Contains(text, k.Text()) || strings.Contains(text, k.ID().String()) {
			t.Errorf("%s shows the key", verb)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	k := principal.NewKey()
	f.Add(k.Text())
	f.Add("tdk_")
	f.Add(strings.Repeat("a", principal.KeySize))
	f.Add(k.Text()[:principal.KeySize-6] + strings.Repeat("\xff", 6))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := principal.ParseKey(text)
		if err == nil && k.Text() != text {
			t.Errorf("%q is a second text of a key", text)
		}
	})
}

// TestParseToken: a token file has one form, and an error repeats nothing of it.
func TestParseToken(t *testing.T) {
	k := principal.NewKey()
	token := string(k.Token("north"))
	for _, text := range []string{token, strings.TrimSuffix(token, "\n")} {
		if client, got, err := principal.ParseToken([]byte(text)); err != nil || client != "north" || got != k {
			t.Errorf("%q, %v", client, err)
		}
	}
	for _, text := range []string{"", "north", k.Text(), "local " + k.Text(), "north  " + k.Text(), token + "\n", "north\t" + k.Text(), "north " + k.Text() + " ", "NORTH " + k.Text()} {
		if _, _, err := principal.ParseToken([]byte(text)); err == nil {
			t.Errorf("a wrong token of %d bytes parses", len(text))
		} else if strings.Contains(err.Error(), k.Text()) {
			t.Error("the error repeats the key")
		}
	}
}

func TestParseKeyID(t *testing.T) {
	k := principal.NewKey()
	if id, err := principal.ParseKeyID(k.ID().String()); err != nil || id != k.ID() {
		t.Errorf("%v, %v", id, err)
	}
	for _, wrong := range []string{"", "00112233", "001122334455", "00112233GG", "00112233AA"} {
		if _, err := principal.ParseKeyID(wrong); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestCheckClientID(t *testing.T) {
	for _, right := range []string{"a", "0", "sensor-7.north_wing", strings.Repeat("z", 64), "local.", "locals"} {
		if err := principal.CheckClientID(right); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
	for _, wrong := range []string{"", "local", "A", "a b", "a/b", "é", "a\x00", strings.Repeat("z", 65)} {
		if err := principal.CheckClientID(wrong); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestParseScopes(t *testing.T) {
	for text, want := range map[string]string{
		"challenge":                             "challenge",
		"proof challenge":                       "challenge proof",
		"event:range/1 event:sum/1":             "event:range/1 event:sum/1",
		"verify event challenge:record-range/1": "challenge:record-range/1 event verify",
	} {
		s, err := principal.ParseScopes(text)
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v", text, s, err)
		}
	}
	for _, wrong := range []string{
		"", " ", "challenge ", "challenge  proof", "admin", "public", "Challenge", "proof:open/1", "verify:open/1",
		"challenge:", "challenge:open", "challenge:open/", "challenge:/1", "challenge:Open/1", "challenge:open/1:x",
		"challenge challenge", "challenge challenge:open/1", "challenge:open/1 challenge", "event:open/1 event:open/1",
		strings.Repeat("challenge ", 200),
	} {
		if _, err := principal.ParseScopes(wrong); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func FuzzParseScopes(f *testing.F) {
	f.Add("challenge proof")
	f.Add("event:range/1 verify")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := principal.ParseScopes(text)
		if err != nil {
			return
		}
		again, err := principal.ParseScopes(s.String())
		if err != nil || again.String() != s.String() || len(s.String()) != len(text) {
			t.Errorf("%q is %q, which is %q: %v", text, s, again, err)
		}
	})
}

var operations = []principal.Operation{principal.Challenge, principal.Proof, principal.Event, principal.Verify}

// TestAllow: a client may call exactly what its scopes name; no other principal is limited.
func TestAllow(t *testing.T) {
	words := []string{"challenge", "challenge:open/1", "proof", "event", "event:sum/1", "verify"}
	for mask := 1; mask < 1<<len(words); mask++ {
		var chosen []string
		for i, w := range words {
			if mask>>i&1 == 1 {
				chosen = append(chosen, w)
			}
		}
		scopes, err := principal.ParseScopes(strings.Join(chosen, " "))
		if err != nil {
			continue // one includes another
		}
		p := authenticated(t, scopes)
		for _, op := range operations {
			for _, claim := range []string{"", "open/1", "sum/1"} {
				want := slices.Contains(chosen, op.String()) || claim != "" && slices.Contains(chosen, op.String()+":"+claim) ||
					claim == "" && slices.ContainsFunc(chosen, func(w string) bool { return strings.HasPrefix(w, op.String()+":") })
				if err := p.Allow(op, claim); (err == nil) != want || err != nil && protocol.CodeOf(err) != protocol.CodeForbidden {
					t.Errorf("%q: %v for %q: %v", scopes, op, claim, err)
				}
			}
		}
	}
	var anonymous principal.Principal
	all := authenticated(t, principal.AllScopes())
	for _, op := range operations {
		if anonymous.Allow(op, "open/1") != nil || all.Allow(op, "open/1") != nil {
			t.Errorf("%v is refused", op)
		}
	}
}

func authenticated(t *testing.T, scopes principal.Scopes) principal.Principal {
	t.Helper()
	k := principal.NewKey()
	r := principal.NewRegistry([]principal.Client{{Index: 7, ID: "north"}},
		[]principal.Record{{ID: k.ID(), Client: 7, Digest: k.Digest(), Scopes: scopes}})
	p, err := r.Authenticate(k.Text(), start)
	if err != nil {
		t.Fatal(err)
	}
	if p.ClientID() != "north" || p.Index != 7 || p.Key != k.ID() || p.Actor() != "client north" {
		t.Errorf("%+v", p)
	}
	return p
}

// TestAuthenticate: for each state of a key and its client, the key is accepted only if
// all of it is in order, and all refusals are alike.
func TestAuthenticate(t *testing.T) {
	var refusal string
	property := func(expires, revoked, disabled, known, mistyped bool) bool {
		k, other := principal.NewKey(), principal.NewKey()
		c := principal.Client{Index: 1, ID: "a"}
		record := principal.Record{ID: k.ID(), Client: 1, Digest: k.Digest(), Scopes: principal.AllScopes()}
		if expires {
			record.Expires = start
		}
		if revoked {
			record.Revoked = start.Add(-time.Hour)
		}
		if disabled {
			c.Disabled = start.Add(-time.Hour)
		}
		r := principal.NewRegistry([]principal.Client{c}, []principal.Record{record})
		text := k.Text()
		if !known {
			text = other.Text()
		}
		if mistyped {
			text = text[:len(text)-1]
		}
		_, err := r.Authenticate(text, start)
		if wrong := expires || revoked || disabled || !known || mistyped; !wrong {
			return err == nil
		}
		if refusal == "" && err != nil {
			refusal = err.Error()
		}
		return protocol.CodeOf(err) == protocol.CodeUnauthenticated && err.Error() == refusal && !strings.Contains(err.Error(), "tdk_")
	}
	for i := range 1 << 5 {
		bit := func(n int) bool { return i>>n&1 == 1 }
		if !property(bit(0), bit(1), bit(2), bit(3), bit(4)) {
			t.Errorf("case %05b", i)
		}
	}
}

// TestSameID: the id alone authenticates no client, and a key of a client that is missing
// is not valid.
func TestSameID(t *testing.T) {
	k, other := principal.NewKey(), principal.NewKey()
	clients := []principal.Client{{Index: 1, ID: "a"}}
	for name, r := range map[string]*principal.Registry{
		"empty":          principal.NewRegistry(nil, nil),
		"another digest": principal.NewRegistry(clients, []principal.Record{{ID: k.ID(), Client: 1, Digest: other.Digest()}}),
		"no client":      principal.NewRegistry(clients, []principal.Record{{ID: k.ID(), Client: 2, Digest: k.Digest()}}),
	} {
		if _, err := r.Authenticate(k.Text(), start); !errors.Is(err, protocol.CodeUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Usable(start) != (name == "another digest") {
			t.Errorf("%s: usable %v", name, r.Usable(start))
		}
	}
}

// TestValid: a key is valid from its making until its end, at every moment.
func TestValid(t *testing.T) {
	property := func(expires, at int64) bool {
		r := principal.Record{Expires: time.UnixMilli(expires >> 20)}
		now := time.UnixMilli(at >> 20)
		return r.Valid(now) == now.Before(r.Expires)
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
	if r := (principal.Record{}); !r.Valid(start.AddDate(500, 0, 0)) {
		t.Error("a key without an end expires")
	}
}

// TestActor: each kind of principal has a text of its own.
func TestActor(t *testing.T) {
	want := map[string]principal.Principal{
		"anonymous":    {},
		"client local": {Kind: principal.APIClient, Client: "local"}, // no such client exists
		"uid 1000":     {Kind: principal.LocalUser, UID: 1000},
		"certificate 0100000000000000000000000000000000000000000000000000000000000000": {Kind: principal.Certificate, Cert: protocol.Digest{1}},
		"core": {Kind: principal.Core},
	}
	for text, p := range want {
		if p.Actor() != text {
			t.Errorf("%q is not %q", p.Actor(), text)
		}
		if p.Kind != principal.APIClient && p.ClientID() != protocol.LocalClient {
			t.Errorf("%s: client id %q", text, p.ClientID())
		}
	}
}

// TestRegistryEqual: any change of a client or a key makes another registry.
func TestRegistryEqual(t *testing.T) {
	k, other := principal.NewKey(), principal.NewKey()
	make := func(change func(*principal.Client, *principal.Record)) *principal.Registry {
		c := principal.Client{Index: 1, ID: "a", Created: start}
		r := principal.Record{ID: k.ID(), Client: 1, Digest: k.Digest(), Scopes: principal.AllScopes(), Created: start}
		change(&c, &r)
		return principal.NewRegistry([]principal.Client{c}, []principal.Record{r})
	}
	first := make(func(*principal.Client, *principal.Record) {})
	if !first.Equal(make(func(*principal.Client, *principal.Record) {})) || first.Equal(principal.NewRegistry(first.Clients(), nil)) {
		t.Error("equal registries differ, or a missing key makes no difference")
	}
	for i, change := range []func(*principal.Client, *principal.Record){
		func(c *principal.Client, _ *principal.Record) { c.ID = "b" },
		func(c *principal.Client, _ *principal.Record) { c.Created = start.Add(1) },
		func(c *principal.Client, _ *principal.Record) { c.Disabled = start },
		func(_ *principal.Client, r *principal.Record) { r.ID = other.ID() },
		func(_ *principal.Client, r *principal.Record) { r.Digest = other.Digest() },
		func(_ *principal.Client, r *principal.Record) { r.Scopes = principal.Scopes{} },
		func(_ *principal.Client, r *principal.Record) { r.Created = start.Add(1) },
		func(_ *principal.Client, r *principal.Record) { r.Expires = start },
		func(_ *principal.Client, r *principal.Record) { r.Revoked = start },
	} {
		if first.Equal(make(change)) {
			t.Errorf("change %d is not noticed", i)
		}
	}
}

// TestRegistryLists: clients come in order of their indexes, keys the latest first.
func TestRegistryLists(t *testing.T) {
	var keys []principal.Record
	for i := range 3 {
		k := principal.NewKey()
		keys = append(keys, principal.Record{ID: k.ID(), Client: 2, Digest: k.Digest(), Created: start.Add(time.Duration(i) * time.Hour)})
	}
	r := principal.NewRegistry([]principal.Client{{Index: 2, ID: "b"}, {Index: 1, ID: "a", Disabled: start}}, keys)
	if all := r.Clients(); len(all) != 2 || all[0].ID != "a" || all[1].ID != "b" {
		t.Errorf("%+v", all)
	}
	if c, ok := r.Client("b"); !ok || c.Index != 2 {
		t.Errorf("%+v", c)
	}
	if _, ok := r.Client("c"); ok {
		t.Error("there is a client c")
	}
	if of := r.Keys(2); len(of) != 3 || of[0].Created.Before(of[2].Created) || len(r.Keys(1)) != 0 {
		t.Errorf("%+v", of)
	}
}
