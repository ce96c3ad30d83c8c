package attest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/report"
)

// tsm requests quotes from the kernel of a confidential virtual machine,
// through the interface that SEV-SNP and TDX share (configfs-tsm, Linux 6.7).
type tsm struct{ client configfsi.Client }

// Providers of configfs-tsm, by the name of the kernel's module.
const (
	providerSNP = "sev_guest"
	providerTDX = "tdx_guest"
)

// Kind is "tsm".
func (*tsm) Kind() string { return WantTSM }

// Close does nothing.
func (*tsm) Close() error { return nil }

// Detect requests a quote over zeros and discards it, because the tree names
// its provider only with a quote.
func (a *tsm) Detect(ctx context.Context) (State, string) {
	e, err := a.Quote(ctx, ReportData{})
	if err != nil {
		return Detected, fmt.Sprintf("%s exists but returns no quote: %v", ReportTree, err)
	}
	return Usable, fmt.Sprintf("%s returns quotes of %s", ReportTree, e.Kind)
}

// Quote makes an entry in the tree, writes report data and reads the quote.
func (a *tsm) Quote(ctx context.Context, data ReportData) (e Evidence, err error) {
	if err := ctx.Err(); err != nil {
		return Evidence{}, err
	}
	r, err := report.Create(a.client, &report.Request{InBlob: data[:]})
	if err != nil {
		return Evidence{}, err
	}
	defer func() { err = errors.Join(err, r.Destroy()) }()
	got, err := r.Get()
	if err != nil {
		return Evidence{}, err
	}
	switch provider := strings.TrimSpace(got.Provider); provider {
	case providerSNP:
		return Evidence{KindSNP, [][]byte{got.OutBlob, certificateOf(r, got.OutBlob)}}, nil
	case providerTDX:
		return Evidence{KindTDX, [][]byte{trimTDX(got.OutBlob)}}, nil
	default:
		return Evidence{}, fmt.Errorf("quotes of %q are not known here", clip(provider))
	}
}

// certificateOf returns the certificate that the host put beside a report of
// SEV-SNP. The host supplies it and may leave it out; a verifier then brings
// its own.
func certificateOf(r *report.OpenReport, quote []byte) []byte {
	table, err := r.ReadOption("auxblob")
	if err != nil {
		return nil
	}
	return endCertificate(table, quote)
}

func clip(s string) string { return s[:min(len(s), 32)] }
