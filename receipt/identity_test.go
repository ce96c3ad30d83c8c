package receipt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/terradourada/td/receipt"
)

func TestVerdictOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("network down"), ""},
		{&receipt.ContradictionError{Vouched: true}, receipt.Contradicted},
		{&receipt.ContradictionError{}, receipt.Unvouched},
		{&receipt.BindingError{}, receipt.Unvouched},
		{&receipt.ShortError{}, receipt.Unvouched},
		{fmt.Errorf("wrapped: %w", receipt.ErrNoServer), receipt.Unvouched},
		{receipt.ErrUnknownLog, receipt.Unvouched},
		{&receipt.DamagedError{}, receipt.Unavailable},
		{&fs.PathError{Err: fs.ErrPermission}, receipt.Unavailable},
	} {
		if got := receipt.VerdictOf(tt.err); got != tt.want {
			t.Errorf("%v: verdict %q, want %q", tt.err, got, tt.want)
		}
	}
}
