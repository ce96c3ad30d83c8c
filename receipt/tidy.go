package receipt

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/terradourada/td/protocol"
)

// LineError says which line of a text is not that of a checkpoint, and why.
type LineError struct {
	Line   int // from 1
	Reason string
}

// Error names the line and the reason.
func (e *LineError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Reason) }

// TidyCheckpoint returns a checkpoint without what mail, paper and editors do to it: other
// ends of lines, blanks at the end of lines and of the text, and another dash in front of
// a signature. A text that is no checkpoint even then is a [*LineError]. No signature is
// verified.
func TidyCheckpoint(text string) (string, error) {
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
			return "", &LineError{i + 1, reason}
		}
	}
	if len(lines) < 5 {
		return "", &LineError{len(lines) + 1, "is missing: a checkpoint has origin, size, root, an empty line and signatures"}
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// wrongLine returns what is wrong with line i of a checkpoint, from 0, or "".
func wrongLine(i int, line string) string {
	switch i {
	case 0:
		if !isOrigin(line) {
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
