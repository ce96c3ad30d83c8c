package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/protocol"
)

// TestBind computes the report data a second time, from the text of the
// package comment, and pins it.
func TestBind(t *testing.T) {
	e := epoch()
	var b bytes.Buffer
	label := "TD-V1-attestation"
	b.WriteByte(byte(len(label)))
	b.WriteString(label)
	pk := sha256.Sum256(e.PublicKey[:])
	number := binary.BigEndian.AppendUint64(nil, e.Number)
	for _, part := range [][]byte{e.ID[:], pk[:], e.CheckpointKey[:], number, e.Instance[:], e.Build[:], {1, 2}, e.Posture[:]} {
		b.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		b.Write(part)
	}
	sum := sha256.Sum256(b.Bytes())
	want := sha512.Sum512(append([]byte("terra-dourada/epoch/v1"), sum[:]...))
	got := attest.Bind(e)
	if got != want {
		t.Errorf("report data %x, want %x", got, want)
	}
	const pinned = "972007a7ab13981043a80bb503d1ba1c"
	if hex.EncodeToString(got[:16]) != pinned {
		t.Errorf("report data begins with %x; what was quoted before verifies no longer", got[:16])
	}
}

// TestBindCoversTheLeaf: every field of an epoch-open leaf changes the report
// data, except those that the package comment leaves out.
func TestBindCoversTheLeaf(t *testing.T) {
	free := []string{"Previous", "PreviousIndex", "Handover"}
	base := attest.Bind(epoch())
	for _, f := range reflect.VisibleFields(reflect.TypeFor[protocol.EpochOpen]()) {
		e := epoch()
		v := reflect.ValueOf(e).Elem().FieldByIndex(f.Index)
		switch v.Kind() {
		case reflect.Array:
			v = v.Index(v.Len() - 1)
		case reflect.Struct:
			v = v.Field(0)
		}
		v.SetUint(v.Uint() ^ 1)
		if changed := attest.Bind(e) != base; changed == slices.Contains(free, f.Name) {
			t.Errorf("%s changed: report data changed is %v", f.Name, changed)
		}
	}
}

func TestEvidence(t *testing.T) {
	tpm := attest.Evidence{Kind: attest.KindTPM, Parts: [][]byte{{1}, {2, 2}, {3}, make([]byte, 512)}}
	raw, err := tpm.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := "TDATT001\x01\x00\x00\x00\x01\x01\x00\x00\x00\x02\x02\x02\x00\x00\x00\x01\x03\x00\x00\x02\x00"; string(raw[:len(want)]) != want {
		t.Errorf("evidence begins with %q, want %q", raw[:len(want)], want)
	}
	again, err := attest.ParseEvidence(raw)
	if err != nil || !reflect.DeepEqual(again, tpm) {
		t.Errorf("read again: %v, %v", again, err)
	}
	for n := range raw {
		if _, err := attest.ParseEvidence(raw[:n]); err == nil {
			t.Errorf("evidence cut off at %d is read", n)
		}
	}
	rows := map[string][]byte{
		"trailing byte":  append(slices.Clone(raw), 0),
		"other magic":    append([]byte("TDATT002"), raw[8:]...),
		"no kind":        append([]byte("TDATT001\x00"), raw[9:]...),
		"unknown kind":   append([]byte("TDATT001\x04"), raw[9:]...),
		"other kind":     append([]byte("TDATT001\x03"), raw[9:]...),
		"endless length": append([]byte("TDATT001\x01\xff\xff\xff\xff"), raw[13:]...),
	}
	for name, b := range rows {
		if _, err := attest.ParseEvidence(b); !errors.Is(err, protocol.CodeMalformedRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := attest.ParseEvidence(make([]byte, attest.MaxEvidence+1)); !errors.Is(err, protocol.CodeTooLarge) {
		t.Errorf("too much: %v", err)
	}
	for _, e := range []attest.Evidence{
		{},
		{Kind: 9},
		{Kind: attest.KindSNP},
		{Kind: attest.KindSNP, Parts: [][]byte{make([]byte, 1183), nil}},
		{Kind: attest.KindSNP, Parts: [][]byte{make([]byte, 1184), make([]byte, 8<<10+1)}},
		{Kind: attest.KindTPM, Parts: [][]byte{{1}, {1}, {}, make([]byte, 512)}},
	} {
		if _, err := e.Encode(); err == nil {
			t.Errorf("evidence of kind %v with %d parts is written", e.Kind, len(e.Parts))
		}
	}
}

func TestNone(t *testing.T) {
	a, err := attest.Open(attest.Config{Want: attest.WantNone})
	if err != nil {
		t.Fatal(err)
	}
	if state, _ := a.Detect(t.Context()); a.Kind() != "none" || state != attest.Absent {
		t.Errorf("kind %s, state %s", a.Kind(), state)
	}
	if _, err := a.Quote(t.Context(), attest.ReportData{}); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("quote: %v", err)
	}
}

// TestOpenFailsClosed: an attestor requested by name is available or the
// result is an error; auto uses what is available.
func TestOpenFailsClosed(t *testing.T) {
	dir := t.TempDir()
	for _, cfg := range []attest.Config{
		{Want: attest.WantTPM, TPM: dir + "/nothing"},
		{Want: attest.WantTPM, TPM: dir},
	} {
		if a, err := attest.Open(cfg); err == nil {
			t.Errorf("%v opens as %s", cfg, a.Kind())
		}
	}
	a, err := attest.Open(attest.Config{Want: attest.WantAuto, TPM: dir + "/nothing"})
	if err != nil || a.Kind() == attest.WantTPM {
		t.Errorf("auto: %v", err)
	}
}
