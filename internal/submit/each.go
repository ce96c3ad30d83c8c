package submit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/protocol"
)

// Each calls f with every event of an input in canonical form, as [Run] reads it. An
// event that cannot be read ends it with an error.
func Each(ctx context.Context, o input.Options, f func(event []byte) error) (err error) {
	r, err := within(ctx, func() (*input.Reader, error) { return input.Open(o) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		e, err := within(ctx, r.Next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		event, err := protocol.Canonicalize(e.Text)
		if err = cmp.Or(e.Err, err); err != nil {
			return fault.New(fault.Usage, fmt.Sprintf("line %d: %s", e.Line, protocol.DetailOf(err)), "correct the line, or leave it out")
		}
		if err := f(event); err != nil {
			return err
		}
	}
}
