package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// NewRoot is the tree of commands, with nobody at its streams.
func NewRoot() *cobra.Command {
	return newRoot(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
}
