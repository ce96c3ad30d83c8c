package attest_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-sev-guest/abi"
	sevdata "github.com/google/go-sev-guest/verify/testdata"
	tdxdata "github.com/google/go-tdx-guest/testing/testdata"

	"github.com/terradourada/td/internal/attest"
)

func openTree(t *testing.T, client configfsi.Client) attest.Attestor {
	t.Helper()
	a, err := attest.Open(attest.Config{Want: attest.WantTSM}.WithClient(client))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// snp is the kernel of a machine on the test's chip.
func snp(c *chip, aux []byte) entry {
	return entry{provider: "sev_guest", quote: func(data []byte) ([]byte, error) { return c.report(data) }, aux: aux}
}

// TestSNP takes an epoch through an emulated kernel of SEV-SNP and back, under
// a root of the test.
func TestSNP(t *testing.T) {
	c, e := theChip(t), epoch()
	a := openTree(t, tree(snp(c, c.table(t))))
	if state, text := a.Detect(t.Context()); state != attest.Usable || a.Kind() != "tsm" {
		t.Errorf("%s: %s", state, text)
	}
	raw := quote(t, a, e)
	policy := attest.Policy{At: c.at}.WithAMD(c.roots)
	v, err := attest.Verify(raw, attest.Bind(e), policy)
	if err != nil || v.State != attest.Attested || v.Kind != attest.KindSNP || v.Measurements[0].Name != "measurement" {
		t.Fatalf("%v, %v", v, err)
	}
	if _, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: c.at}); err == nil {
		t.Error("a report that leads to our root is taken for AMD's")
	}
	if _, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: c.at.AddDate(30, 0, 0)}.WithAMD(c.roots)); err == nil {
		t.Error("expired certificates are taken")
	}
	mustRefuse(t, raw, attest.Bind(e), policy, 7)
}

// TestSNPWithoutCertificate: a report alone is evidence that is only detected; a
// verifier may bring the chip's certificate.
func TestSNPWithoutCertificate(t *testing.T) {
	c, e := theChip(t), epoch()
	for name, aux := range map[string][]byte{"none": nil, "empty": {}, "zeros": make([]byte, 64), "absurd": absurd()} {
		raw := quote(t, openTree(t, tree(snp(c, aux))), e)
		v, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: c.at}.WithAMD(c.roots))
		if err != nil || v.State != attest.Detected {
			t.Fatalf("%s: %v, %v", name, v, err)
		}
		brought := attest.Policy{At: c.at, Roots: roots(t, certPEM(c.signer.Vcek))}.WithAMD(c.roots)
		v, err = attest.Verify(raw, attest.Bind(e), brought)
		if err != nil || v.State != attest.Attested {
			t.Errorf("%s, certificate brought: %v, %v", name, v, err)
		}
		brought.At = c.at.AddDate(30, 0, 0)
		if v, err = attest.Verify(raw, attest.Bind(e), brought); err == nil {
			t.Errorf("%s, expired certificate brought: %v", name, v)
		}
	}
}

// absurd is a table whose offset and length overflow 32 bits together.
func absurd() []byte {
	b := make([]byte, 96)
	copy(b, []byte{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd})
	binary.LittleEndian.PutUint32(b[16:], 0xffffff00)
	binary.LittleEndian.PutUint32(b[20:], 0x200)
	return b
}

func TestCertificateTable(t *testing.T) {
	c := theChip(t)
	table := c.table(t)
	report := make([]byte, attest.SizeOfReport)
	if got := attest.EndCertificate(table, report); !slices.Equal(got, c.signer.Vcek.Raw) {
		t.Errorf("%d bytes for a report by the VCEK, want %d", len(got), len(c.signer.Vcek.Raw))
	}
	report[0x48] = 1 << 2
	if got := attest.EndCertificate(table, report); !slices.Equal(got, c.signer.Vlek.Raw) {
		t.Errorf("%d bytes for a report by the VLEK, want %d", len(got), len(c.signer.Vlek.Raw))
	}
	for n := range 200 {
		if got := attest.EndCertificate(table[:n], report); got != nil {
			t.Errorf("a table cut off at %d yields %d bytes", n, len(got))
		}
	}
}

// TestSNPDebug: a machine that its host may inspect is refused, even if
// everything else is right.
func TestSNPDebug(t *testing.T) {
	c, e := theChip(t), epoch()
	data := attest.Bind(e)
	for _, policy := range []abi.SnpPolicy{{Debug: true}, {MigrateMA: true}} {
		open := snp(c, c.table(t))
		open.quote = func(data []byte) ([]byte, error) {
			return c.report(data, func(r []byte) { binary.LittleEndian.PutUint64(r[8:], abi.SnpPolicyToBytes(policy)) })
		}
		raw := quote(t, openTree(t, tree(open)), e)
		if v, err := attest.Verify(raw, data, attest.Policy{At: c.at}.WithAMD(c.roots)); err == nil {
			t.Errorf("policy %+v: %s", policy, v.Sentence())
		}
	}
}

// TestSNPLevel: a report requested from below the highest privilege level is
// refused, even where the signature cannot be checked; the host's own reports
// have no level.
func TestSNPLevel(t *testing.T) {
	c, e := theChip(t), epoch()
	for _, aux := range [][]byte{c.table(t), nil} {
		for _, level := range []uint32{1, 2, 3, 1 << 8, 1<<32 - 1} {
			open := snp(c, aux)
			open.quote = func(data []byte) ([]byte, error) {
				return c.report(data, func(r []byte) { binary.LittleEndian.PutUint32(r[0x30:], level) })
			}
			raw := quote(t, openTree(t, tree(open)), e)
			if v, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: c.at}.WithAMD(c.roots)); err == nil {
				t.Errorf("level %d: %s", level, v.Sentence())
			}
		}
	}
}

// TestSNPRecorded: the report of a real machine leads to AMD's root, and no bit
// of it can be changed. The machine was in debug mode and is refused for that.
func TestSNPRecorded(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
	policy := attest.Policy{At: time.Date(2022, time.September, 24, 1, 0, 0, 0, time.UTC)}
	report := sevdata.AttestationBytes
	if err := attest.VerifyReportSignature(report, sevdata.VcekBytes, policy); err != nil {
		t.Fatal(err)
	}
	for i := range report {
		changed := slices.Clone(report)
		changed[i] ^= 1 << (i % 8)
		if attest.VerifyReportSignature(changed, sevdata.VcekBytes, policy) == nil {
			t.Errorf("byte %d changed: the signature holds", i)
		}
	}
	e := attest.Evidence{Kind: attest.KindSNP, Parts: [][]byte{report, sevdata.VcekBytes}}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if v, err := attest.Verify(raw, attest.ReportData(report[0x50:0x90]), policy); err == nil {
		t.Errorf("a machine for debugging: %s", v.Sentence())
	}
}

// TestTDXTree: Quote returns the quote of the kernel's tree; a quote that
// does not bind the epoch is refused.
func TestTDXTree(t *testing.T) {
	padded := append(slices.Clone(tdxdata.RawQuote), make([]byte, 100)...)
	kernel := entry{provider: "tdx_guest", quote: func([]byte) ([]byte, error) { return padded, nil }}
	a := openTree(t, tree(kernel))
	if state, text := a.Detect(t.Context()); state != attest.Usable {
		t.Errorf("%s: %s", state, text)
	}
	raw, data, at := recordedTDX(t)
	e := epoch()
	if got := quote(t, a, e); !slices.Equal(got, raw) {
		t.Errorf("evidence of %d bytes, want %d", len(got), len(raw))
	}
	if _, err := attest.Verify(raw, data, attest.Policy{At: at}); err != nil {
		t.Error(err)
	}
	if _, _, err := attest.Take(t.Context(), a, e, at); err == nil {
		t.Error("a quote over something else is taken for one of the epoch")
	}
}

// TestTreeFails: whatever the tree does, the result is a quote or an error.
func TestTreeFails(t *testing.T) {
	gone := func([]byte) ([]byte, error) { return nil, errDevice }
	for name, e := range map[string]entry{
		"no quote":         {provider: "sev_guest", quote: gone},
		"unknown provider": {provider: "somebody", quote: func([]byte) ([]byte, error) { return []byte("x"), nil }},
		"nothing in it":    {provider: "tdx_guest", quote: func([]byte) ([]byte, error) { return []byte{}, nil }},
		"far too much":     {provider: "sev_guest", quote: func([]byte) ([]byte, error) { return make([]byte, 1<<20), nil }},
	} {
		client := tree(e)
		if _, _, err := attest.Take(t.Context(), openTree(t, client), epoch(), time.Now()); err == nil {
			t.Errorf("%s: there is a quote", name)
		}
	}
	if state, _ := openTree(t, tree(entry{provider: "sev_guest", quote: gone})).Detect(t.Context()); state != attest.Detected {
		t.Errorf("a tree without a quote is %s", state)
	}
}
