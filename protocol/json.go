package protocol

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of every JSON text that comes from outside (section 4).
const (
	MaxJSONSize    = 64 << 10 // bytes
	MaxJSONDepth   = 32       // objects and arrays inside one another, the top one included
	MaxJSONMembers = 1024     // members in all objects together
)

// JSONLimits bound a JSON text. A zero field stands for the limit of section 4.
type JSONLimits struct {
	Size    int // bytes
	Depth   int // objects and arrays inside one another, the top one included
	Members int // members in all objects together
}

func (l JSONLimits) orDefaults() JSONLimits {
	return JSONLimits{cmp.Or(l.Size, MaxJSONSize), cmp.Or(l.Depth, MaxJSONDepth), cmp.Or(l.Members, MaxJSONMembers)}
}

// JSONReason is the keyword that says why a JSON text was refused.
type JSONReason string

// The closed list of reasons (section 4).
const (
	JSONTooLarge       JSONReason = "too_large"        // longer than the limit; offset = the limit
	JSONBOM            JSONReason = "bom"              // begins with a byte order mark
	JSONNotUTF8        JSONReason = "not_utf8"         // a byte that belongs to no UTF-8 sequence
	JSONSurrogate      JSONReason = "surrogate"        // half a surrogate pair, escaped or encoded
	JSONSyntax         JSONReason = "syntax"           // not the grammar of RFC 8259, or cut short
	JSONNotAnObject    JSONReason = "not_an_object"    // the top level is another value
	JSONTrailingData   JSONReason = "trailing_data"    // something follows the object
	JSONDuplicateName  JSONReason = "duplicate_name"   // two members of one object, compared unescaped
	JSONTooDeep        JSONReason = "too_deep"         // more nesting than the limit
	JSONTooManyMembers JSONReason = "too_many_members" // more members than the limit
	JSONInexactNumber  JSONReason = "inexact_number"   // a number whose RFC 8785 form has another value
)

// JSONError names the reason and the position of a refused JSON text, never
// its contents.
type JSONError struct {
	Reason JSONReason
	Offset int // bytes before the place
}

// Error names the reason and the offset.
func (e *JSONError) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// Canonicalize checks an event by the rules of section 4 and returns its RFC
// 8785 form. The size limit of an event applies to the result too, so that
// every result is itself accepted. A refusal has code event_not_canonicalisable
// and holds a [*JSONError]. The argument is not changed.
func Canonicalize(raw []byte) ([]byte, error) {
	clean, refused := checkJSON(raw, JSONLimits{})
	if refused == nil {
		out, err := canonicalForm(clean)
		switch {
		case err != nil:
			refused = &JSONError{JSONSyntax, 0} // cannot happen: the same decoder has accepted it
		case len(out) > MaxJSONSize: // 1e20 has 21 digits
			refused = &JSONError{JSONTooLarge, MaxJSONSize}
		default:
			return out, nil
		}
	}
	return nil, Wrap(CodeEventNotCanonicalisable, "event refused: "+refused.Error(), refused)
}

// CheckJSON applies the same rules to any request body. A refusal has code
// too_large or malformed_request and holds a [*JSONError].
func CheckJSON(raw []byte, lim JSONLimits) error {
	_, err := cleanJSON(raw, lim)
	return err
}

// cleanJSON is [CheckJSON] and returns the text with short numbers.
func cleanJSON(raw []byte, lim JSONLimits) ([]byte, error) {
	clean, refused := checkJSON(raw, lim)
	if refused == nil {
		return clean, nil
	}
	code := CodeMalformedRequest
	if refused.Reason == JSONTooLarge {
		code = CodeTooLarge
	}
	return nil, Wrap(code, "JSON refused: "+refused.Error(), refused)
}

// canonicalForm is RFC 8785 alone, without the rules that section 4 adds.
func canonicalForm(raw []byte) ([]byte, error) {
	v := jsontext.Value(append([]byte(nil), raw...))
	if err := v.Canonicalize(); err != nil {
		return nil, err
	}
	return v, nil
}

// checkJSON returns the text itself, or a copy in which numbers of excessive
// length are written short.
func checkJSON(raw []byte, lim JSONLimits) ([]byte, *JSONError) {
	lim = lim.orDefaults()
	if len(raw) > lim.Size {
		return nil, &JSONError{JSONTooLarge, lim.Size}
	}
	if refused := checkEncoding(raw); refused != nil {
		return nil, refused
	}
	dec := decoders.Get().(*jsontext.Decoder)
	defer release(dec)
	dec.Reset(bytes.NewBuffer(raw))
	w := jsonWalk{raw: raw, lim: lim, dec: dec, first: skip(raw, 0, " \t\r\n")}
	if refused := w.run(); refused != nil {
		return nil, refused
	}
	return w.text(), nil
}

// decoders are reused; the buffer of each is larger than most texts.
var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(new(bytes.Buffer)) }}

// release puts a decoder back without its text.
func release(dec *jsontext.Decoder) {
	dec.Reset(new(bytes.Buffer))
	decoders.Put(dec)
}

// checkEncoding refuses a byte order mark and anything that is not UTF-8.
func checkEncoding(raw []byte) *JSONError {
	if len(raw) >= 3 && string(raw[:3]) == "\xef\xbb\xbf" {
		return &JSONError{JSONBOM, 0}
	}
	if utf8.Valid(raw) {
		return nil
	}
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			if len(raw)-i >= 3 && raw[i] == 0xED && raw[i+1]&0xE0 == 0xA0 && raw[i+2]&0xC0 == 0x80 {
				return &JSONError{JSONSurrogate, i}
			}
			return &JSONError{JSONNotUTF8, i}
		}
		i += n
	}
	panic("protocol: internal error: invalid UTF-8 has no place")
}

// jsonWalk reads a text token by token and counts depth and members.
type jsonWalk struct {
	raw     []byte
	lim     JSONLimits
	dec     *jsontext.Decoder
	first   int // where the top value begins
	members int
	clean   []byte // raw up to byte done, with short numbers; empty until the first long number
	done    int
}

// text returns the whole text with short numbers.
func (w *jsonWalk) text() []byte {
	if w.done == 0 {
		return w.raw
	}
	return append(w.clean, w.raw[w.done:]...)
}

// number checks the number between two offsets.
func (w *jsonWalk) number(at, end int) *JSONError {
	short, exact := exactNumber(w.raw[at:end])
	if !exact {
		return &JSONError{JSONInexactNumber, at}
	}
	if end-at > maxNumberText {
		w.clean = append(append(w.clean, w.raw[w.done:at]...), short...)
		w.done = end
	}
	return nil
}

func (w *jsonWalk) run() *JSONError {
	for {
		at := w.next()
		tok, err := w.dec.ReadToken()
		if err != nil {
			return w.refusal(err, at)
		}
		if refused := w.check(tok, at); refused != nil {
			return refused
		}
		if w.dec.StackDepth() == 0 {
			break
		}
	}
	if at := skip(w.raw, int(w.dec.InputOffset()), " \t\r\n"); at < len(w.raw) {
		return &JSONError{JSONTrailingData, at}
	}
	return nil
}

// check applies the rules of section 4 that go beyond the grammar to the token
// just read, which begins at byte at.
func (w *jsonWalk) check(tok jsontext.Token, at int) *JSONError {
	depth := w.dec.StackDepth()
	if at == w.first && tok.Kind() != '{' {
		return &JSONError{JSONNotAnObject, at}
	}
	switch tok.Kind() {
	case '{', '[':
		if depth > w.lim.Depth {
			return &JSONError{JSONTooDeep, at}
		}
	case '0':
		return w.number(at, int(w.dec.InputOffset()))
	case '"':
		if kind, n := w.dec.StackIndex(depth); kind == '{' && n%2 == 1 {
			if w.members++; w.members > w.lim.Members {
				return &JSONError{JSONTooManyMembers, at}
			}
		}
	}
	return nil
}

// next returns where the token after the last one read begins. The decoder
// checks whether a separator is allowed before it.
func (w *jsonWalk) next() int { return skip(w.raw, int(w.dec.InputOffset()), " \t\r\n,:") }

// skip returns the first position from i on whose byte is not in set.
func skip(raw []byte, i int, set string) int {
	for i < len(raw) && isOneOf(raw[i], set) {
		i++
	}
	return i
}

// refusal converts an error of the decoder at the token that begins at byte
// at into a reason.
func (w *jsonWalk) refusal(err error, at int) *JSONError {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return &JSONError{JSONDuplicateName, at}
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return &JSONError{JSONSyntax, len(w.raw)} // the text ended early
	}
	offset := min(int(syntax.ByteOffset), len(w.raw))
	if at < len(w.raw) && w.raw[at] == '"' && isHalfSurrogate(w.raw[offset:]) { // in a text
		return &JSONError{JSONSurrogate, offset}
	}
	return &JSONError{JSONSyntax, offset}
}

// isHalfSurrogate reports whether the text the decoder stopped at is a complete
// escape of a surrogate.
func isHalfSurrogate(b []byte) bool {
	return len(b) >= 6 && b[0] == '\\' && b[1] == 'u' &&
		(b[2] == 'd' || b[2] == 'D') && isOneOf(b[3], "89abcdefABCDEF") &&
		isOneOf(b[4], hexDigits) && isOneOf(b[5], hexDigits)
}

const hexDigits = "0123456789abcdefABCDEF"

func isOneOf(c byte, set string) bool { return strings.IndexByte(set, c) >= 0 }
