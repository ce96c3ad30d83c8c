// Package termui shows the progress of a long command on standard error, writes numbers
// of things in words, and escapes what could control a terminal.
package termui

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/terradourada/td/protocol"
)

// maxLines bounds what [Lines] returns, before it is escaped. A path has at most 4096
// bytes and is seldom longer than some hundred.
const maxLines = 1500

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Count returns a number of things in words: "1 proof", "2 proofs".
func Count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// CountAre returns [Count] with its verb: "1 proof is", "2 proofs are".
func CountAre(n int, one string) string {
	if n == 1 {
		return Count(n, one) + " is"
	}
	return Count(n, one) + " are"
}

// Lines returns a text of some lines, each as [protocol.Escaped] returns it, without what is beyond
// maxLines bytes.
func Lines(s string) string {
	if len(s) > maxLines {
		s = strings.ToValidUTF8(s[:maxLines], "") + "…"
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = protocol.Escaped(lines[i])
	}
	return strings.Join(lines, "\n")
}
