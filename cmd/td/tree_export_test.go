package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// NewRoot returns the tree of commands without input and output.
func NewRoot() *cobra.Command {
	return newRoot(&app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard})
}
