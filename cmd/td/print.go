package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// printJSON prints one value on one line. It does not escape "<", ">" and "&".
func (a *app) printJSON(v any) error { return a.writeJSON("", v) }

// writeJSON writes one value on one line to a file, or to standard output for "".
func (a *app) writeJSON(path string, v any) error {
	b, err := protocol.EncodeJSON(v)
	if err != nil {
		return err
	}
	return a.writeOut(path, append(b, '\n'))
}

// show prints a value as -o asks for: as JSON on one line, or as a table.
func (a *app) show(output *choice, v any, table func(io.Writer) error) error {
	if output.value == "json" {
		return a.printJSON(v)
	}
	return table(a.stdout)
}

// writeOut writes data to a file, or to standard output for "".
func (a *app) writeOut(path string, data []byte) error {
	if path != "" {
		return fsutil.WriteFile(path, data, 0o644)
	}
	_, err := a.stdout.Write(data)
	return err
}

// warn prints warnings on standard error.
func (a *app) warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", w)
	}
}

// noteAbsent notes on standard error that the directory of --trust does not exist: it may
// be misspelt.
func (a *app) noteAbsent(dir string) {
	if _, err := os.Stat(dir); dir != "" && errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(a.stderr, "note: the trust store %s does not exist\n", dir)
	}
}
