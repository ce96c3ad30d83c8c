package submit

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// receiptSuffix ends the name of every receipt.
const receiptSuffix = ".receipt.json"

// maxName bounds the name of a receipt, in bytes. File systems allow 255, and a file that
// is written has a longer name until it is whole.
const maxName = 200

// pattern makes the names of receipts. The empty one names them by their requests.
type pattern string

// placeholder matches {line}, {input}, {request}, {index}, and {line:06} for numbers.
var placeholder = regexp.MustCompile(`\{(?:(line|index)(?::0([1-9]|1[0-9]))?|(input|request))\}`)

// parsePattern parses a pattern for the receipts of an input.
func parsePattern(text, input string) (pattern, error) {
	p := pattern(strings.TrimSuffix(text, receiptSuffix))
	literal := placeholder.ReplaceAllString(string(p), "")
	unique := p.has("line") || p.has("index") || p.has("request")
	longest := p.expand(&request{input: input, line: 1 << 31, index: 1 << 63})
	switch {
	case text == "":
		return "", nil
	case strings.ContainsFunc(literal, func(r rune) bool { return !plain(r) }) || strings.HasPrefix(text, ".") || strings.HasPrefix(text, "-"):
		return "", badPattern("--name %q does not name files of the folder", text)
	case !unique:
		return "", badPattern("--name %q makes the same name for several receipts", text)
	case len(longest) > maxName:
		return "", badPattern("--name %q makes names of up to %d bytes, more than %d", text, len(longest), maxName)
	}
	return p, nil
}

func badPattern(format string, args ...any) error {
	return fault.New(fault.Usage, fmt.Sprintf(format, args...), "allowed are letters, digits, . _ - but not at the beginning, {line}, {input}, {request} and {index}; {line:06} pads with zeros; one of {line}, {request}, {index} is needed")
}

// plain reports whether a character may be in the name of a receipt.
func plain(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)
}

// has reports whether the pattern has a placeholder.
func (p pattern) has(name string) bool {
	for _, m := range placeholder.FindAllStringSubmatch(string(p), -1) {
		if m[1] == name || m[3] == name {
			return true
		}
	}
	return false
}

// early reports whether names are known, and can collide, before a request is made.
func (p pattern) early() bool { return p != "" && !p.has("index") && !p.has("request") }

// expand returns the name for a request.
func (p pattern) expand(q *request) string {
	return placeholder.ReplaceAllStringFunc(string(p), func(found string) string {
		m := placeholder.FindStringSubmatch(found)
		width, _ := strconv.Atoi(m[2])
		switch m[1] + m[3] {
		case "line":
			return fmt.Sprintf("%0*d", width, q.line)
		case "index":
			return fmt.Sprintf("%0*d", width, q.index)
		case "input":
			return stem(q.input)
		}
		return q.id.String()
	}) + receiptSuffix
}

// stem returns the name of an input without its folder and extension, and with an
// underscore for each character that the name of a receipt may not have.
func stem(input string) string {
	if input == "-" {
		return "stdin"
	}
	base := path.Base(input)
	base = strings.TrimLeft(strings.TrimSuffix(base, path.Ext(base)), ".-")
	if base == "" {
		return "input"
	}
	return strings.Map(func(r rune) rune {
		if plain(r) {
			return r
		}
		return '_'
	}, base)
}

// receiptName returns the name of the request's receipt.
func (q *request) receiptName() string {
	if q.name != "" {
		return q.name
	}
	return q.id.String() + receiptSuffix
}

// openingName returns the name of a request's opening.
func openingName(id protocol.RequestID) string { return id.String() + ".opening" }
