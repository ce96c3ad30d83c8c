package attest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/attest"
)

// sample is valid evidence, with what it is valid for.
type sample struct {
	raw    []byte
	data   attest.ReportData
	policy attest.Policy
}

// samples are one of each kind, with a root. The signatures of the chip are new
// in every process.
func samples(f *testing.F) []sample {
	f.Helper()
	tdx, data, at := recordedTDX(f)
	c := theChip(f)
	report, err := c.report(data[:])
	if err != nil {
		f.Fatal(err)
	}
	e := attest.Evidence{Kind: attest.KindSNP, Parts: [][]byte{report, c.signer.Vcek.Raw}}
	snp, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	quoted := attest.Bind(epoch())
	tpm, err := attest.Verify(recordedTPM(f), quoted, attest.Policy{})
	if err != nil {
		f.Fatal(err)
	}
	return []sample{
		{recordedTPM(f), quoted, attest.Policy{Roots: roots(f, tpm.Key)}},
		{snp, data, attest.Policy{At: c.at}.WithAMD(c.roots)},
		{tdx, data, attest.Policy{At: at}},
	}
}

// hold checks evidence that a fuzzer made from a sample: no library panics, it
// has one encoding, and it is attested only if it is the sample.
func (s *sample) hold(t *testing.T, b []byte) {
	t.Helper()
	v, err := attest.Verify(b, s.data, s.policy)
	if err != nil && strings.Contains(err.Error(), "panic:") {
		t.Errorf("a library panics, which a check before it should keep it from: %v", err)
	}
	if attested := err == nil && v.State == attest.Attested; attested != slices.Equal(b, s.raw) {
		t.Errorf("attested is %v, unlike what was made: %v", attested, err)
	}
	if e, err := attest.ParseEvidence(b); err == nil {
		if again, err := e.Encode(); err != nil || !slices.Equal(again, b) {
			t.Errorf("evidence has a second form: %v", err)
		}
	}
}

// FuzzVerify: no part of evidence can be changed. The fuzzer's input is the
// change and not the evidence. To minimise an input of 5,000 bytes takes it a
// minute each time it finds new coverage, and meanwhile it tests nothing else.
func FuzzVerify(f *testing.F) {
	all := samples(f)
	for kind := range all {
		f.Add(uint8(kind), uint8(0), uint16(0), uint16(0), []byte{})
		f.Add(uint8(kind), uint8(1), uint16(9), uint16(0), []byte{1})
		f.Add(uint8(kind), uint8(0), uint16(0x30), uint16(4), []byte{2, 0, 0, 0})
		f.Add(uint8(kind), uint8(0), uint16(atTDSize), uint16(4), []byte{0xff, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, kind, part uint8, at, drop uint16, put []byte) {
		s := all[int(kind)%len(all)]
		e, err := attest.ParseEvidence(s.raw)
		if err != nil {
			t.Fatal(err)
		}
		old := &e.Parts[int(part)%len(e.Parts)]
		from := min(int(at), len(*old))
		*old = slices.Concat((*old)[:from], put, (*old)[min(from+int(drop), len(*old)):])
		if b, err := e.Encode(); err == nil {
			s.hold(t, b)
		}
	})
}

// FuzzEvidence: no input makes a verifier panic. The seeds are whole evidence,
// so it has to run with -fuzzminimizetime 10x, as in the gate; FuzzVerify
// explains why.
func FuzzEvidence(f *testing.F) {
	all := samples(f)
	tdx := all[len(all)-1]
	for _, s := range all {
		f.Add(s.raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) { tdx.hold(t, b) })
}
