package attest_test

import (
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/terradourada/td/internal/attest"
)

var record = flag.Bool("record", false, "record the evidence of an emulated TPM anew")

// TestTPM takes an epoch through an emulated TPM and back.
func TestTPM(t *testing.T) {
	a, now := openTPM(t), time.Now()
	if state, text := a.Detect(t.Context()); state != attest.Usable {
		t.Errorf("%s: %s", state, text)
	}
	e := epoch()
	raw, first, err := attest.Take(t.Context(), a, e, now)
	if err != nil {
		t.Fatal(err)
	}
	if first.State != attest.Usable || first.Kind != attest.KindTPM || len(first.Measurements) != 16 || first.By != "" {
		t.Errorf("without roots: %s", first.Sentence())
	}
	pinned, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: now, Roots: roots(t, first.Key)})
	if err != nil || pinned.State != attest.Attested {
		t.Fatalf("with its key pinned: %v, %v", pinned, err)
	}
	// The same TPM has the same key for the next epoch.
	next := epoch()
	next.Number++
	_, second, err := attest.Take(t.Context(), a, next, now)
	if err != nil || second.Key != first.Key {
		t.Errorf("the next epoch is quoted by another key, %v", err)
	}
	if _, err := attest.Verify(raw, attest.Bind(next), attest.Policy{At: now}); err == nil {
		t.Error("a quote of one epoch verifies for the next")
	}
}

// recordedTPM is the answer of an emulated TPM for epoch(), recorded once.
func recordedTPM(t testing.TB) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "tpm.evidence"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestTPMRecorded: a recorded quote verifies in every later release.
func TestTPMRecorded(t *testing.T) {
	if *record {
		if err := os.WriteFile(filepath.Join("testdata", "tpm.evidence"), quote(t, openTPM(t), epoch()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := attest.Bind(epoch())
	v, err := attest.Verify(recordedTPM(t), data, attest.Policy{})
	if err != nil || v.State != attest.Usable {
		t.Fatalf("%v, %v", v, err)
	}
	mustRefuse(t, recordedTPM(t), data, attest.Policy{Roots: roots(t, v.Key)}, 1)
}

// TestTPMCertified: an authority may vouch for the key, while its certificate is
// valid; another TPM's key is not vouched for.
func TestTPMCertified(t *testing.T) {
	now := time.Now()
	e := epoch()
	raw, v, err := attest.Take(t.Context(), openTPM(t), e, now)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := attest.Take(t.Context(), openTPM(t), e, now)
	if err != nil {
		t.Fatal(err)
	}
	good := newAuthority(t, now.Add(-time.Hour), now.Add(time.Hour))
	stranger := newAuthority(t, now.Add(-time.Hour), now.Add(time.Hour))
	rows := map[string]struct {
		roots *attest.Roots
		at    time.Time
		want  attest.State
	}{
		"certified":                {roots(t, good.certify(t, v), certPEM(good.cert)), now, attest.Attested},
		"no authority":             {roots(t, good.certify(t, v)), now, attest.Usable},
		"another authority":        {roots(t, good.certify(t, v), certPEM(stranger.cert)), now, attest.Usable},
		"an authority alone":       {roots(t, certPEM(good.cert)), now, attest.Usable},
		"too late":                 {roots(t, good.certify(t, v), certPEM(good.cert)), now.Add(2 * time.Hour), attest.Usable},
		"another key, certified":   {roots(t, good.certify(t, other), certPEM(good.cert)), now, attest.Usable},
		"another key, pinned":      {roots(t, other.Key), now, attest.Usable},
		"this one among many keys": {roots(t, other.Key, v.Key), now, attest.Attested},
	}
	for name, row := range rows {
		got, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: row.at, Roots: row.roots})
		if err != nil || got.State != row.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestTPMTampered: not one bit of the evidence can be changed.
func TestTPMTampered(t *testing.T) {
	e, now := epoch(), time.Now()
	raw, v, err := attest.Take(t.Context(), openTPM(t), e, now)
	if err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, raw, attest.Bind(e), attest.Policy{At: now, Roots: roots(t, v.Key)}, 1)
}

// TestTPMSwapped: parts of two quotes do not combine to a third.
func TestTPMSwapped(t *testing.T) {
	e, now := epoch(), time.Now()
	mine, err := attest.ParseEvidence(quote(t, openTPM(t), e))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := attest.ParseEvidence(quote(t, openTPM(t), e))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // the registers are the same
		mixed := attest.Evidence{Kind: attest.KindTPM, Parts: slices.Clone(mine.Parts)}
		mixed.Parts[i] = theirs.Parts[i]
		raw, err := mixed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: now}); err == nil {
			t.Errorf("part %d of another TPM's quote is taken", i)
		}
	}
}

// TestTPMOtherKey: a key that may sign anything could sign what looks like a
// quote, so its quotes are refused.
func TestTPMOtherKey(t *testing.T) {
	socket := startTPM(t)
	dev, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	loose := attest.AKTemplate()
	loose.ObjectAttributes.Restricted = false
	e := epoch()
	raw := attest.QuoteWith(t, dev, loose, attest.Bind(e))
	if _, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: time.Now()}); err == nil || !strings.Contains(err.Error(), "one form") {
		t.Errorf("a quote by an unrestricted key: %v", err)
	}
	raw = attest.QuoteWith(t, dev, attest.AKTemplate(), attest.Bind(e))
	if _, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: time.Now()}); err != nil {
		t.Errorf("the same by the right key: %v", err)
	}
}

// TestTPMMeasurements: a register that is extended changes the quote, and a
// verifier may require values.
func TestTPMMeasurements(t *testing.T) {
	socket, e, now := startTPM(t), epoch(), time.Now()
	dev, err := linuxudstpm.Open(socket)
	if err != nil {
		t.Fatal(err)
	}
	take := func() ([]byte, *attest.Verdict) {
		a, err := attest.Open(attest.Config{Want: attest.WantTPM, TPM: socket})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		raw, v, err := attest.Take(t.Context(), a, e, now)
		if err != nil {
			t.Fatal(err)
		}
		return raw, v
	}
	_, before := take()
	extend := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: 9, Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}
	if _, err := extend.Execute(dev); err != nil {
		t.Fatal(err)
	}
	raw, after := take()
	for i := range 16 {
		if same := before.Measurements[i] == after.Measurements[i]; same != (i != 9) {
			t.Errorf("%s unchanged is %v", after.Measurements[i].Name, same)
		}
	}
	want := map[string]string{"pcr9": strings.ToUpper(after.Measurements[9].Value), "pcr0": after.Measurements[0].Value}
	v, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: now, Measurements: want})
	if err != nil || v.Compared != 2 {
		t.Errorf("with the right values: %v, %v", v, err)
	}
	for name, value := range map[string]string{"pcr9": before.Measurements[9].Value, "mrtd": after.Measurements[9].Value, "pcr16": ""} {
		if _, err := attest.Verify(raw, attest.Bind(e), attest.Policy{At: now, Measurements: map[string]string{name: value}}); err == nil {
			t.Errorf("%s = %s is taken", name, value)
		}
	}
}

// TestTPMAtOnce: one connection serves many callers.
func TestTPMAtOnce(t *testing.T) {
	a, e := openTPM(t), epoch()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, _, err := attest.Take(t.Context(), a, e, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// TestTPMGone: a TPM that does not answer is an error, not a hang and not a
// quote.
func TestTPMGone(t *testing.T) {
	a, err := attest.Open(attest.Config{Want: attest.WantTPM, TPM: deaf(t)})
	if err != nil {
		t.Fatal(err)
	}
	if state, _ := a.Detect(t.Context()); state != attest.Detected {
		t.Errorf("a deaf TPM is %s", state)
	}
	if _, err := a.Quote(t.Context(), attest.ReportData{}); err == nil {
		t.Error("a deaf TPM quotes")
	}
}

// TestTPMSilent: a TPM that takes commands and never answers does not block a
// server for ever.
func TestTPMSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		a, begun := attest.OnConn(ours), time.Now()
		defer a.Close()
		if state, _ := a.Detect(t.Context()); state != attest.Detected {
			t.Errorf("a silent TPM is %s", state)
		}
		if _, err := a.Quote(t.Context(), attest.ReportData{}); err == nil || time.Since(begun) > time.Minute {
			t.Errorf("it quotes after %v: %v", time.Since(begun), err)
		}
	})
}

func TestRoots(t *testing.T) {
	now := time.Now()
	ca := certPEM(newAuthority(t, now, now.Add(time.Hour)).cert)
	for name, text := range map[string]string{
		"nothing":       "",
		"no PEM":        "hello",
		"text behind":   ca + "hello",
		"private key":   "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"broken key":    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"broken cert":   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"far too many":  strings.Repeat(ca, 300),
		"one then half": ca + ca[:len(ca)/2],
	} {
		if _, err := attest.ParseRoots([]byte(text)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := attest.ParseRoots([]byte(ca + "\n" + ca + "\n\n")); err != nil {
		t.Error(err)
	}
}
