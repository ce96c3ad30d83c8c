package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// operatorCheckpoint reads a checkpoint that came by hand, and verifies it with the
// log's proofs.
func (a *app) operatorCheckpoint(ctx context.Context, name string, files *logFiles) (*receipt.Checkpoint, error) {
	raw, err := a.readInput(name, receipt.MaxLogSize)
	if err != nil {
		return nil, err
	}
	if name == "-" {
		name = "standard input"
	}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		return nil, fault.New(fault.Usage, name+" is not a checkpoint but JSON, as a receipt is", "the operator prints a checkpoint with td log checkpoint")
	}
	note, line, reason := cleanCheckpoint(string(raw))
	if reason != "" {
		return nil, fault.New(fault.Negative, fmt.Sprintf("%s is not a checkpoint: line %d %s", name, line, reason), "the operator prints one with td log checkpoint")
	}
	newest, err := files.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	if origin, _, _ := strings.Cut(note, "\n"); origin != firstLine(newest) {
		return nil, fault.New(fault.Negative, fmt.Sprintf("%s is of log %s, and the log that should prove it is %s", name, origin, protocol.Printable(firstLine(newest))), "--log URL or DIR names the log")
	}
	cp, err := files.VerifyCheckpoint(ctx, []byte(note))
	if errors.Is(err, client.ErrNotSigned) {
		return nil, fault.New(fault.Negative, fmt.Sprintf("the signature in %s does not fit its text: compare it with the original", name), "nothing was recorded")
	}
	return cp, err
}

func firstLine(note []byte) string {
	line, _, _ := strings.Cut(string(note), "\n")
	return line
}

// cleanCheckpoint undoes what mail, paper and editors do to a checkpoint: ends of
// lines, blanks at the end of lines and of the text, and another dash in front of a
// signature. It returns which line, from 1, is not that of a checkpoint, and why.
func cleanCheckpoint(text string) (note string, line int, reason string) {
	text = strings.TrimPrefix(text, "\ufeff")
	lines := strings.Split(strings.TrimRight(text, " \t\r\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
		if i < 4 {
			continue
		}
		for _, dash := range []string{"-- ", "- ", "– "} {
			if rest, ok := strings.CutPrefix(lines[i], dash); ok {
				lines[i] = "— " + rest
			}
		}
	}
	for i, l := range lines {
		if reason := wrongLine(i, l); reason != "" {
			return "", i + 1, reason
		}
	}
	if len(lines) < 5 {
		return "", len(lines) + 1, "is missing: a checkpoint has origin, size, root, an empty line and signatures"
	}
	return strings.Join(lines, "\n") + "\n", 0, ""
}

// wrongLine says what is wrong with line i of a checkpoint, from 0, or "".
func wrongLine(i int, line string) string {
	switch i {
	case 0:
		if line == "" || len(line) > receipt.MaxLogSize || protocol.Printable(line) != line || strings.Contains(line, " ") {
			return "is not the name of a log"
		}
	case 1:
		if n, err := strconv.ParseUint(line, 10, 63); err != nil || n > protocol.MaxTreeSize {
			return "is not the size of a log"
		}
	case 2:
		if b, err := base64.StdEncoding.DecodeString(line); err != nil || len(b) != protocol.DigestSize {
			return "is not a root hash"
		}
	case 3:
		if line != "" {
			return "is not empty"
		}
	default:
		f := strings.Split(line, " ")
		if len(f) != 3 || f[0] != "—" {
			return "is not a signature"
		}
		if _, err := base64.StdEncoding.DecodeString(f[2]); err != nil {
			return "is not a signature"
		}
	}
	return ""
}
