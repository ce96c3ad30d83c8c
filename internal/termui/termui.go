// Package termui shows the progress of a long command on standard error, writes numbers
// of things in words, and escapes what could control a terminal.
package termui

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// maxLines bounds what [Lines] returns, before it is escaped. A path has at most 4096
// bytes and is seldom longer than some hundred.
const maxLines = 1500

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
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

// Line returns a text that cannot control a terminal or end a line: other characters
// than graphic ones are escaped.
func Line(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// Lines returns a text of some lines, each as [Line] returns it, without what is beyond
// maxLines bytes.
func Lines(s string) string {
	if len(s) > maxLines {
		s = strings.ToValidUTF8(s[:maxLines], "") + "…"
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Line(lines[i])
	}
	return strings.Join(lines, "\n")
}
