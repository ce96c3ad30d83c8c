package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
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

// stepAttestation is the step that td verify adds to those of a receipt.
const stepAttestation = "attestation"

// attestation is the check of evidence beside a receipt; nil asks for none.
type attestation struct {
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

// attestation reads what the flags name.
func (f *verifyFlags) attestation() (*attestation, error) {
	if *f.evidence == "" {
		if *f.roots != "" || len(*f.measurements) > 0 {
			return nil, fault.New(fault.Usage, "--attestation-roots and --measurement say how evidence is judged, and none was given", "--attestation names a file or a server")
		}
		return nil, nil
	}
	a := &attestation{fetched: map[uint64]fetched{}}
	var err error
	if a.policy.Measurements, err = measurements(*f.measurements); err != nil {
		return nil, err
	}
	if *f.roots != "" {
		text, err := fsutil.ReadFile(*f.roots, 1<<20)
		if err != nil {
			return nil, err
		}
		if a.policy.Roots, err = attest.ParseRoots(text); err != nil {
			return nil, fault.New(fault.Config, fmt.Sprintf("%s: %s", *f.roots, remote.Detail(err)), "PEM: PUBLIC KEY pins a TPM, CERTIFICATE is an authority or the certificate of a key")
		}
	}
	if strings.Contains(*f.evidence, "://") {
		a.server, err = remote.Dial(*f.evidence)
	} else {
		a.file, err = fsutil.ReadFile(*f.evidence, attest.MaxEvidence)
	}
	return a, err
}

// measurements reads NAME=HEX.
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

// attested is what came of the check for one receipt.
type attested struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	*attest.Verdict
}

// check adds the step to a verdict. It rests on the epoch leaf being the one of
// the payload, and in the log.
func (a *attestation) check(ctx context.Context, v *verdict, r *receipt.Receipt) error {
	var result attested
	for _, s := range v.Steps {
		if s.Step == receipt.StepInclusion && !s.OK {
			result.Detail = "not checked: it rests on the step " + s.Step
		}
	}
	if result.Detail == "" {
		var err error
		if result, err = a.judge(ctx, r.Epoch.Leaf); err != nil {
			return err
		}
	}
	v.Attestation = &result
	if !result.OK {
		v.OK = false
		if v.FailedStep == "" {
			v.FailedStep = stepAttestation
		}
	}
	return nil
}

// judge looks for evidence about the epoch of a leaf. Less than attested is not
// what was asked for.
func (a *attestation) judge(ctx context.Context, raw []byte) (attested, error) {
	leaf, err := protocol.ParseLeaf(raw)
	if err != nil {
		return attested{}, err
	}
	open, ok := leaf.Body.(*protocol.EpochOpen)
	if !ok {
		return attested{}, errors.New("the epoch leaf is of another type")
	}
	evidence, err := a.of(ctx, open.Number)
	if errors.Is(err, protocol.CodeNotFound) {
		return attested{Detail: "the server has no evidence about this epoch"}, nil
	}
	if err != nil {
		return attested{}, err
	}
	policy := a.policy
	policy.At = time.UnixMilli(int64(leaf.Time))
	v, err := attest.Verify(evidence, attest.Bind(open), policy)
	if err != nil {
		return attested{Detail: cmp.Or(protocol.DetailOf(err), err.Error()), Verdict: nil}, nil
	}
	return attested{OK: v.State == attest.Attested, Detail: v.Sentence(), Verdict: v}, nil
}

// of gives the evidence about an epoch; a server is asked once.
func (a *attestation) of(ctx context.Context, number uint64) ([]byte, error) {
	if a.server == nil {
		return a.file, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if f, ok := a.fetched[number]; ok {
		return f.evidence, f.err
	}
	evidence, err := a.server.Attestation(ctx, number)
	if err != nil && !errors.Is(err, protocol.CodeNotFound) {
		return nil, a.server.Failure(ctx, err)
	}
	a.fetched[number] = fetched{evidence, err}
	return evidence, err
}
