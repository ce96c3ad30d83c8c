package protocol_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

// The vectors were written by generate.py, which shares no code with this
// package; its README says what each file holds.
const vectorDir = "../docs/spec/vectors"

func readVectors(tb testing.TB, name string, v any) {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(vectorDir, name))
	if err != nil {
		tb.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
}

// hexBytes are bytes written as one hexadecimal text.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// runs are bytes written as [hex, count] pairs.
type runs []byte

func (r *runs) UnmarshalJSON(b []byte) error {
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal(b, &pairs); err != nil {
		return err
	}
	*r = runs{}
	for _, pair := range pairs {
		var part hexBytes
		var n int
		if err := errors.Join(json.Unmarshal(pair[0], &part), json.Unmarshal(pair[1], &n)); err != nil {
			return err
		}
		*r = append(*r, bytes.Repeat(part, n)...)
	}
	return nil
}

func is(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if string(got) != string(want) {
		t.Errorf("%s = %x, want %x", what, got, want)
	}
}

func TestVectorsAreReproduced(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: the vectors are not generated again")
	}
	dir := t.TempDir()
	script := filepath.Join(vectorDir, "generate.py")
	if _, err := os.ReadFile(script); err != nil { // so that the test cache sees the script
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), python, "-B", script, dir).CombinedOutput(); err != nil {
		t.Fatalf("generate.py: %v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(made) == 0 {
		t.Fatalf("generate.py wrote %d files: %v", len(made), err)
	}
	for _, path := range made {
		want, _ := os.ReadFile(path)
		got, err := os.ReadFile(filepath.Join(vectorDir, filepath.Base(path)))
		if err != nil {
			t.Error(err)
		} else if string(got) != string(want) {
			t.Errorf("%s is not what generate.py writes", filepath.Base(path))
		}
	}
}

func TestVectorsHash(t *testing.T) {
	var v struct {
		D []struct {
			Label  string
			Parts  []hexBytes
			Digest hexBytes
		}
		H2F []struct {
			Label                     string
			Message, Uniform, Element hexBytes
		} `json:"h2f"`
	}
	readVectors(t, "hash.json", &v)
	for i, row := range v.D {
		parts := make([][]byte, len(row.Parts))
		for j := range parts {
			parts[j] = row.Parts[j]
		}
		d := protocol.D(row.Label, parts...)
		is(t, "D number "+row.Label, d[:], row.Digest)
		for _, other := range v.D[:i] {
			if string(other.Digest) == string(row.Digest) {
				t.Errorf("two different inputs of D have one digest")
			}
		}
	}
	for _, row := range v.H2F {
		e := protocol.H2F(row.Label, row.Message)
		is(t, "H2F", e[:], row.Element)
		uniform := expandXMD(row.Message, []byte(row.Label+"-BLS12381FR-XMD:SHA-256"), 48)
		is(t, "uniform bytes", uniform, row.Uniform)
		is(t, "uniform bytes mod r", reduce(uniform), row.Element)
	}
}

// expandXMD is expand_message_xmd of RFC 9380 section 5.3.1 with SHA-256.
func expandXMD(msg, dst []byte, size int) []byte {
	if len(dst) > 255 {
		sum := sha256.Sum256(append([]byte("H2C-OVERSIZE-DST-"), dst...))
		dst = sum[:]
	}
	prime := append(bytes.Clone(dst), byte(len(dst)))
	b := append(make([]byte, 64), msg...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(size)), 0)
	b0 := sha256.Sum256(append(b, prime...))
	var out []byte
	last := [32]byte{}
	for i := byte(1); len(out) < size; i++ {
		for j := range last {
			last[j] ^= b0[j]
		}
		last = sha256.Sum256(append(append(last[:], i), prime...))
		out = append(out, last[:]...)
	}
	return out[:size]
}

var modulus, _ = new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)

func reduce(b []byte) []byte {
	n := new(big.Int).SetBytes(b)
	return n.Mod(n, modulus).FillBytes(make([]byte, 32))
}

func TestExpandMessageRFC9380(t *testing.T) {
	files, _ := filepath.Glob("../../shared/data/rfc9380/*.json")
	if len(files) == 0 {
		t.Skip("the RFC 9380 vectors are not there")
	}
	tested := 0
	for _, file := range files {
		var v struct {
			DST   string
			Tests []struct {
				Msg     string
				Len     string   `json:"len_in_bytes"`
				Uniform hexBytes `json:"uniform_bytes"`
			}
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		for _, row := range v.Tests {
			is(t, filepath.Base(file), expandXMD([]byte(row.Msg), []byte(v.DST), len(row.Uniform)), row.Uniform)
			tested++
		}
	}
	if tested != 20 {
		t.Errorf("%d vectors, want 20", tested)
	}
}

func TestVectorsDerivations(t *testing.T) {
	type named struct {
		Name  string
		Value hexBytes
	}
	var v struct {
		PublicKey         hexBytes `json:"public_key"`
		Signature         hexBytes
		SignatureContext  string `json:"signature_context"`
		Payload           hexBytes
		PublicKeyDigest   hexBytes `json:"public_key_digest"`
		PayloadDigest     hexBytes `json:"payload_digest"`
		Anchor, Tag, T, C hexBytes
		Issued            hexBytes
		Client            struct {
			Salt       hexBytes
			ID         string
			Commitment hexBytes
		}
		Statement struct {
			Claim, Params      string
			Commitment, Digest hexBytes
		}
		VK struct {
			Encoding, SRS, List, Fingerprint hexBytes
			Claim                            string
			GroupList                        hexBytes `json:"group_list"`
			GroupFingerprint                 hexBytes `json:"group_fingerprint"`
		}
		List struct {
			Name      string
			Members   []protocol.Member
			ID        hexBytes
			ScopeText string `json:"scope_text"`
			Scope     hexBytes
		}
		Incident struct {
			Salt                hexBytes
			Actor, Target, Text string
			Digest              hexBytes
		}
		Reason, Actor struct {
			Salt   hexBytes
			Text   string
			Digest hexBytes
		}
		Handover struct {
			Origin                            string
			Previous, Next, Key, Root, Digest hexBytes
			Number, Size                      uint64
		}
		Epoch struct {
			CheckpointKey hexBytes `json:"checkpoint_key"`
			ID            hexBytes
		}
		Wrong map[string][]named
	}
	readVectors(t, "derivations.json", &v)
	payload := protocol.EncodedPayload(v.Payload)
	is(t, "signature context", []byte(protocol.SignatureContext), []byte(v.SignatureContext))
	is(t, "local client", []byte(protocol.LocalClient), []byte(v.Client.ID))

	got := map[string][]byte{}
	put := func(name string, value []byte, want hexBytes) {
		t.Helper()
		is(t, name, value, want)
		got[name] = value
	}
	pk, pd := protocol.PublicKeyDigest(v.PublicKey), protocol.PayloadDigest(&payload)
	put("public key digest", pk[:], v.PublicKeyDigest)
	put("payload digest", pd[:], v.PayloadDigest)
	preimage := [protocol.AnchorPreimageSize]byte(bytes.Join([][]byte{pk[:], pd[:], v.Signature}, nil))
	anchor := protocol.DeriveAnchor(&preimage)
	put("anchor", anchor[:], v.Anchor)
	tag := protocol.Tag(v.Tag) // made by the keyholder, which alone may use HMAC
	put("tag", tag[:], v.Tag)
	te, c := protocol.TagElement(tag), protocol.ContextElement(&payload)
	put("t", te[:], v.T)
	put("c", c[:], v.C)
	issued := protocol.IssuedDigest(protocol.RequestID(v.Payload[16:32]), &payload, anchor)
	put("issued", issued[:], v.Issued)
	client := protocol.ClientCommitment(protocol.Salt(v.Client.Salt), v.Client.ID)
	put("client", client[:], v.Client.Commitment)
	statement := protocol.StatementDigest(v.Statement.Claim, []byte(v.Statement.Params), protocol.Commitment(v.Statement.Commitment))
	put("statement", statement[:], v.Statement.Digest)
	vk := protocol.VKFingerprint(v.VK.Claim, protocol.ListID(v.VK.List), protocol.Digest(v.VK.SRS), v.VK.Encoding)
	put("vkfp", vk[:], v.VK.Fingerprint)
	group := protocol.VKFingerprint("group/1", protocol.ListID(v.VK.GroupList), protocol.Digest(v.VK.SRS), v.VK.Encoding)
	put("vkfp of a list", group[:], v.VK.GroupFingerprint)
	list := protocol.ListDigest(v.List.Name, v.List.Members)
	put("list", list[:], v.List.ID)
	scope := protocol.ScopeElement(v.List.Name, v.List.ScopeText)
	put("scope", scope[:], v.List.Scope)
	reason := protocol.ReasonDigest(protocol.Salt(v.Reason.Salt), v.Reason.Text)
	put("reason", reason[:], v.Reason.Digest)
	actor := protocol.ActorCommitment(protocol.Salt(v.Actor.Salt), v.Actor.Text)
	put("actor", actor[:], v.Actor.Digest)
	i := v.Incident
	incident := protocol.IncidentDigest(protocol.Salt(i.Salt), i.Actor, i.Target, i.Text)
	put("incident", incident[:], i.Digest)
	h := v.Handover
	handover := protocol.Handover{
		Origin: h.Origin, Previous: protocol.EpochID(h.Previous), Next: protocol.EpochID(h.Next), Number: h.Number,
		Key: [32]byte(h.Key), Size: h.Size, Root: protocol.Digest(h.Root),
	}
	hd := handover.Digest()
	put("handover", hd[:], h.Digest)
	epoch := protocol.EpochOpen{PublicKey: [1952]byte(v.PublicKey), CheckpointKey: [32]byte(v.Epoch.CheckpointKey)}
	epoch.ID = protocol.DeriveEpochID(epoch.PublicKey[:], epoch.CheckpointKey)
	put("epoch", epoch.ID[:], v.Epoch.ID)
	if err := epoch.CheckID(); err != nil {
		t.Errorf("the id of its keys: %v", err)
	}
	epoch.CheckpointKey[31] ^= 1
	if err := epoch.CheckID(); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("another checkpoint key: %v", err)
	}

	for name, rows := range v.Wrong {
		for _, row := range rows {
			if got[name] == nil || string(row.Value) == string(got[name]) {
				t.Errorf("%s is the wrong value %q", name, row.Name)
			}
		}
	}
	if string(te[:]) != string(reduce(expandXMD(tag[:], []byte("TD-V1-tag-BLS12381FR-XMD:SHA-256"), 48))) {
		t.Error("t is not hash_to_field of the tag")
	}
}

// The parts of sections 5 and 6 that need no Poseidon2; package claim computes
// the rest of claims.json.
func TestVectorsStatements(t *testing.T) {
	var v struct {
		Statements []struct {
			Claim, Params, Event     string
			Blind, E, Cm, Statement  hexBytes
			TClaim                   hexBytes `json:"t_claim"`
			Salts                    []hexBytes
			FieldValues              []hexBytes `json:"field_values"`
			S                        []hexBytes
			H, F                     hexBytes
			Values                   []json.Number
			Secret, Member, Siblings any
			Members                  any
		}
	}
	readVectors(t, "claims.json", &v)
	for _, row := range v.Statements {
		canonical, err := protocol.Canonicalize([]byte(row.Event))
		if err != nil || string(canonical) != row.Event {
			t.Errorf("event is not canonical: %v", err)
		}
		if canonical, err = protocol.Canonicalize([]byte(row.Params)); err != nil || string(canonical) != row.Params {
			t.Errorf("params are not canonical: %v", err)
		}
		e, tc := protocol.EventElement([]byte(row.Event)), protocol.ClaimElement(row.Claim)
		is(t, row.Claim+": e", e[:], row.E)
		is(t, row.Claim+": T", tc[:], row.TClaim)
		is(t, row.Claim+": s1", row.S[0], row.Cm)
		d := protocol.StatementDigest(row.Claim, []byte(row.Params), protocol.Commitment(row.Cm))
		is(t, row.Claim+": statement", d[:], row.Statement)
		for i, salt := range row.Salts {
			got := protocol.SaltElement(protocol.Element(row.Blind), uint8(i))
			is(t, row.Claim+": salt", got[:], salt)
		}
		if len(row.FieldValues) > 1 && row.Claim == "record-oneof/1" {
			w := protocol.ValueElement([]byte("-5.5"))
			is(t, row.Claim+": value of /low", w[:], row.FieldValues[2])
		}
		if strings.Contains(row.Params, `"value":"A-17"`) {
			w := protocol.TextElement([]byte("A-17"))
			is(t, row.Claim+": w", w[:], row.S[4])
		}
	}
}

func TestVectorsOpenings(t *testing.T) {
	var v struct {
		Openings []struct {
			Opening, Client, Field string
			ClientCommitment       hexBytes `json:"client_commitment"`
		}
	}
	readVectors(t, "opening.json", &v)
	for _, row := range v.Openings {
		var o struct {
			Version    int                `json:"version"`
			RequestID  protocol.RequestID `json:"request_id"`
			Event      string             `json:"event"`
			Blind      protocol.Element   `json:"blind"`
			ClientSalt protocol.Salt      `json:"client_salt"`
		}
		if err := protocol.DecodeStrict([]byte(row.Opening), protocol.JSONLimits{}, &o); err != nil {
			t.Fatal(err)
		}
		if canonical, err := protocol.Canonicalize([]byte(o.Event)); err != nil || string(canonical) != o.Event || o.Version != 1 {
			t.Errorf("opening of version %d, event canonical: %v", o.Version, err)
		}
		client := protocol.ClientCommitment(o.ClientSalt, row.Client)
		is(t, "client commitment", client[:], row.ClientCommitment)
		if row.Field == "" {
			continue
		}
		var f struct {
			I        uint8              `json:"i"`
			Value    protocol.Element   `json:"value"`
			Salt     protocol.Element   `json:"salt"`
			Siblings []protocol.Element `json:"siblings"`
			H        protocol.Element   `json:"h"`
		}
		if err := protocol.DecodeStrict([]byte(row.Field), protocol.JSONLimits{}, &f); err != nil {
			t.Fatal(err)
		}
		if salt := protocol.SaltElement(o.Blind, f.I); !salt.Equal(f.Salt) || len(f.Siblings) != 3 {
			t.Errorf("field %d: the salt is not the blind's, or %d siblings", f.I, len(f.Siblings))
		}
	}
}
