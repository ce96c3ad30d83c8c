package keyholder_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

const origin = "terradourada/0123456789abcdef"

func TestMain(m *testing.M) {
	if status, ok := keyholder.RunChild(os.Args); ok {
		os.Exit(status)
	}
	if memscanProcess(os.Args) {
		os.Exit(0)
	}
	switch {
	case len(os.Args) == 3 && os.Args[1] == evilArgument:
		evil(os.Args[2])
		os.Exit(0)
	case len(os.Args) == 3 && os.Args[1] == tracerArgument:
		tracer(os.Args[2])
		os.Exit(0)
	case len(os.Args) == 2 && os.Args[1] == coreArgument:
		core()
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var instance = protocol.InstanceID{1, 2, 3}

// startSigner starts a signer of epoch number 7.
func startSigner(t testing.TB, cfg keyholder.Config) *keyholder.Signer {
	t.Helper()
	s, err := keyholder.StartSigner(t.Context(), cfg, keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// startTagger starts a tagger of epoch number 7 with a made-up id.
func startTagger(t testing.TB, cfg keyholder.Config) (*keyholder.Tagger, protocol.EpochID) {
	t.Helper()
	epoch := protocol.EpochID{9}
	tagger, err := keyholder.StartTagger(t.Context(), cfg, epoch, 7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tagger.Close() })
	return tagger, epoch
}

// payload is well-formed, of epoch number 7, with a random request id.
func payload(epoch protocol.EpochID, seq uint64) protocol.EncodedPayload {
	p := protocol.Payload{
		Mode:        protocol.ModePull,
		EpochID:     epoch,
		EpochNumber: 7,
		Seq:         seq,
		TTL:         protocol.MaxTTL,
		Instance:    instance,
	}
	_, _ = rand.Read(p.RequestID[:])
	return p.Encode()
}

// edit changes one payload by its fields.
func edit(t testing.TB, encoded protocol.EncodedPayload, change func(*protocol.Payload)) protocol.EncodedPayload {
	t.Helper()
	p, err := protocol.ParseDraft(encoded[:])
	if err != nil {
		t.Fatal(err)
	}
	change(&p)
	return p.Encode()
}

// gone waits for the end of a child.
func gone(t testing.TB, done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the child did not end")
	}
}
