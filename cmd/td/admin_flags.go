package main

import (
	"encoding"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/protocol"
)

// span is a flag value: a duration, which may be in days.
type span time.Duration

// String returns the duration.
func (s *span) String() string { return time.Duration(*s).String() }

// Type names the value in the help.
func (s *span) Type() string { return "time" }

// Set parses a duration such as 90d or 36h.
func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || d < time.Millisecond {
		return errors.New("it is a time such as 30m, 36h or 90d")
	}
	*s = span(d)
	return nil
}

func (s *span) millis() int64 { return time.Duration(*s).Milliseconds() }

func spanFlag(cmd *cobra.Command, name, usage string) *span {
	s := new(span)
	cmd.Flags().Var(s, name, usage)
	return s
}

// number is a flag value: a whole number.
type number uint64

// String returns the number.
func (n *number) String() string { return strconv.FormatUint(uint64(*n), 10) }

// Type names the value in the help.
func (n *number) Type() string { return "number" }

// Set parses a number.
func (n *number) Set(text string) error {
	v, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return errors.New("it is a whole number from 0")
	}
	*n = number(v)
	return nil
}

func numberFlag(cmd *cobra.Command, name string, value number, usage string) *number {
	n := &value
	cmd.Flags().Var(n, name, usage)
	return n
}

// identifier is a flag value: the text form of an id or a digest. It is nil until it is
// set.
type identifier[T any, P interface {
	*T
	encoding.TextUnmarshaler
	fmt.Stringer
}] struct {
	value      P
	kind, form string
}

// String returns the text form.
func (f *identifier[T, P]) String() string {
	if f.value == nil {
		return ""
	}
	return f.value.String()
}

// Type names the value in the help.
func (f *identifier[T, P]) Type() string { return f.kind }

// Set parses the text form.
func (f *identifier[T, P]) Set(text string) error {
	v, err := protocol.Parse[T, P](text)
	if err != nil {
		return errors.New("it is " + f.form)
	}
	f.value = &v
	return nil
}

const idForm = "an id of 32 hexadecimal digits"

func epochFlag(cmd *cobra.Command, usage string) *identifier[protocol.EpochID, *protocol.EpochID] {
	f := &identifier[protocol.EpochID, *protocol.EpochID]{kind: "epoch", form: idForm}
	cmd.Flags().Var(f, "epoch", usage)
	_ = cmd.RegisterFlagCompletionFunc("epoch", completeEpoch)
	return f
}

func fingerprintFlag(cmd *cobra.Command, usage string) *identifier[protocol.Digest, *protocol.Digest] {
	f := &identifier[protocol.Digest, *protocol.Digest]{kind: "fingerprint", form: "what td admin claims lists, of 43 characters"}
	cmd.Flags().Var(f, "fingerprint", usage)
	return f
}

func requestFlag(cmd *cobra.Command, usage string) *identifier[protocol.RequestID, *protocol.RequestID] {
	f := &identifier[protocol.RequestID, *protocol.RequestID]{kind: "request", form: idForm}
	cmd.Flags().Var(f, "id", usage)
	return f
}
