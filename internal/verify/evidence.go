package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// StepAttestation is the step that --attestation adds to those of a receipt.
const StepAttestation = "attestation"

// evidence is the check of evidence about epochs; nil checks none.
type evidence struct {
	policy attest.Policy
	file   []byte         // evidence, or
	server *remote.Server // where it is

	mu      sync.Mutex
	fetched map[uint64]fetched
}

type fetched struct {
	evidence []byte
	err      error
}

// evidence reads what the options name.
func (o *Options) evidence() (*evidence, error) {
	if o.Attestation == "" {
		if o.Roots != "" || len(o.Measurements) > 0 {
			return nil, fault.New(fault.Usage, "--attestation-roots and --measurement say how evidence is judged, and none was given", "--attestation names a file or a server")
		}
		return nil, nil
	}
	e := &evidence{fetched: map[uint64]fetched{}}
	var err error
	if e.policy.Measurements, err = measurements(o.Measurements); err != nil {
		return nil, err
	}
	if o.Roots != "" {
		const hint = "PEM: PUBLIC KEY pins a TPM, CERTIFICATE is an authority or the certificate of a key"
		if e.policy.Roots, err = fsutil.ParseFile(o.Roots, 1<<20, attest.ParseRoots, fault.Config, "", hint); err != nil {
			return nil, err
		}
	}
	if strings.Contains(o.Attestation, "://") {
		e.server, err = remote.Dial(o.Attestation, remote.Patience{})
	} else {
		e.file, err = fsutil.ReadFile(o.Attestation, attest.MaxEvidence)
	}
	return e, err
}

// measurements parses NAME=HEX.
func measurements(list []string) (map[string]string, error) {
	want := map[string]string{}
	for _, m := range list {
		name, value, _ := strings.Cut(m, "=")
		if _, err := hex.DecodeString(value); err != nil || name == "" || value == "" || want[name] != "" {
			return nil, fault.New(fault.Usage, "--measurement takes NAME=HEX, each name once", "td verify --attestation shows the names")
		}
		want[name] = strings.ToLower(value)
	}
	return want, nil
}

// Attested is the outcome of the step for one receipt.
type Attested struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	*attest.Verdict

	Skipped bool `json:"-"` // not checked, because the receipt's own steps failed
}

// check adds the step to a verdict. The step rests on the epoch leaf, which must be the
// one of the payload and in the log.
func (e *evidence) check(ctx context.Context, v *Verdict, r *receipt.Receipt) error {
	var result Attested
	for _, s := range v.Steps {
		if s.Step == receipt.StepInclusion && !s.OK {
			result.Skipped, result.Detail = true, "not checked: it rests on the step "+s.Step
		}
	}
	if !result.Skipped {
		var err error
		if result, err = e.judge(ctx, r.Epoch.Leaf); err != nil {
			return err
		}
	}
	v.Attestation = &result
	if !result.OK {
		v.OK = false
		if v.FailedStep == "" {
			v.FailedStep = StepAttestation
		}
	}
	return nil
}

// judge verifies the evidence about the epoch of a leaf. Only the state attested passes.
func (e *evidence) judge(ctx context.Context, raw []byte) (Attested, error) {
	leaf, err := protocol.ParseLeaf(raw)
	if err != nil {
		return Attested{}, err
	}
	open, ok := leaf.Body.(*protocol.EpochOpen)
	if !ok {
		return Attested{}, errors.New("the epoch leaf is of another type")
	}
	found, err := e.of(ctx, open.Number)
	if errors.Is(err, protocol.CodeNotFound) {
		return Attested{Detail: "the server has no evidence about this epoch"}, nil
	}
	if err != nil {
		return Attested{}, err
	}
	policy := e.policy
	policy.At = time.UnixMilli(int64(leaf.Time))
	v, err := attest.Verify(found, attest.Bind(open), policy)
	if err != nil {
		return Attested{Detail: fault.Of(err).What}, nil
	}
	return Attested{OK: v.State == attest.Attested, Detail: v.Sentence(), Verdict: v}, nil
}

// of returns the evidence about an epoch. It asks a server once for each epoch.
func (e *evidence) of(ctx context.Context, number uint64) ([]byte, error) {
	if e.server == nil {
		return e.file, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if f, ok := e.fetched[number]; ok {
		return f.evidence, f.err
	}
	found, err := e.server.Attestation(ctx, number)
	if err != nil && !errors.Is(err, protocol.CodeNotFound) {
		return nil, e.server.Failure(ctx, err)
	}
	e.fetched[number] = fetched{found, err}
	return found, err
}
