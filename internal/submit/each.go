package submit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// Each calls f with every event of an input in canonical form, as [Run] reads it. An
// event without one ends it with an error.
func Each(ctx context.Context, name string, stdin io.Reader, f func(event []byte) error) (err error) {
	input, err := within(ctx, func() (*events, error) { return openEvents(name, stdin) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, input.close()) }()
	for {
		n, err := within(ctx, input.next)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		event, err := protocol.Canonicalize(n.text)
		if err != nil {
			return fault.New(fault.Usage, fmt.Sprintf("line %d: %s", n.line, protocol.DetailOf(err)), "an event is a JSON object")
		}
		if err := f(event); err != nil {
			return err
		}
	}
}
