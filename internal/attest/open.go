package attest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/linuxtsm"

	"github.com/terradourada/td/protocol"
)

// The words that [Config.Want] takes.
const (
	WantNone = "none"
	WantAuto = "auto"
	WantTPM  = "tpm"
	WantTSM  = "tsm"
)

// Config selects the source of quotes.
type Config struct {
	// Want is none, tpm, tsm, or auto: the first that can be opened of tsm and
	// tpm, none if neither can.
	Want string
	// TPM is the device or socket of the TPM.
	TPM string

	client configfsi.Client // in tests; nil is the kernel's
}

// ReportTree is the directory where the kernel takes requests for quotes
// (configfs-tsm); a confined process must keep the right to make directories
// there.
const ReportTree = configfsi.TsmPrefix + "/report"

// Open opens the attestor that cfg selects. A TPM is connected to at once, so
// that the process may be confined afterwards. The error is a sentence with the
// reason.
func Open(cfg Config) (Attestor, error) {
	switch cfg.Want {
	case WantNone:
		return none{}, nil
	case WantTPM:
		a, err := openTPM(cfg.TPM)
		if err != nil {
			return nil, fmt.Errorf("the TPM %s does not open: %w", cfg.TPM, reason(err))
		}
		return a, nil
	case WantTSM:
		a, err := openTSM(cfg.client)
		if err != nil {
			return nil, fmt.Errorf("the kernel takes no requests for quotes under %s: %w", ReportTree, reason(err))
		}
		return a, nil
	case WantAuto:
		for _, want := range []string{WantTSM, WantTPM} {
			cfg.Want = want
			if a, err := Open(cfg); err == nil {
				return a, nil
			}
		}
		return none{}, nil
	default:
		panic("attest: internal error: unknown attestor wanted")
	}
}

func openTSM(client configfsi.Client) (Attestor, error) {
	if client == nil {
		kernel, err := linuxtsm.MakeClient()
		if err != nil {
			return nil, err
		}
		client = kernel
	}
	return &tsm{client: client}, nil
}

// reason returns an error without its operation and path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// none is the attestor of a machine without attestation, or of an operator who
// wants none.
type none struct{}

func (none) Kind() string                           { return WantNone }
func (none) Detect(context.Context) (State, string) { return Absent, "no source of quotes is in use" }
func (none) Close() error                           { return nil }

func (none) Quote(context.Context, ReportData) (Evidence, error) {
	return Evidence{}, protocol.Fail(protocol.CodeNotFound, "no source of quotes is in use")
}
