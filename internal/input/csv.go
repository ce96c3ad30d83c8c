package input

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// csvBuffer is what encoding/csv may read ahead.
const csvBuffer = 4096

// table reads rows.
type table struct {
	*Reader
	csv     *csv.Reader
	left    int      // bytes that the row that is read may still take
	names   []string // of the columns
	keys    [][]byte // the names as JSON texts
	numbers []bool   // whether a column is read as numbers
}

// errLong ends the reading of a row, as one whose quote is never closed.
var errLong = errors.New("row too long")

// Read bounds what one row takes.
func (t *table) Read(b []byte) (int, error) {
	if t.left <= 0 {
		return 0, errLong
	}
	n, err := t.r.Read(b[:min(len(b), t.left)])
	t.left -= n
	return n, err
}

func (r *Reader) startCSV(head []byte) error {
	if err := r.encoded(head); err != nil {
		return err
	}
	t := &table{Reader: r, left: maxEvent}
	t.csv = csv.NewReader(t)
	t.csv.Comma, _ = separator(head)
	if err := t.readNames(); err != nil {
		return err
	}
	r.next = t.row
	return t.findNumbers()
}

// separator returns the first semicolon, tab or comma of the first row outside of quotes. It
// is a comma where there is none; ok is false if the row has not ended.
func separator(head []byte) (comma rune, ok bool) {
	quoted := false
	for _, c := range bytes.TrimLeft(head, "\r\n") {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ';' || c == '\t' || c == ','):
			return rune(c), true
		case !quoted && c == '\n':
			return ',', true
		}
	}
	return ',', false
}

func (t *table) readNames() error {
	names, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return fault.New(fault.Usage, t.label+" is empty", "its first row must have the names of the columns")
	}
	if err != nil {
		return fault.New(fault.Usage, fmt.Sprintf("%s: the row of names cannot be read: %s", t.label, csvReason(err)), "")
	}
	for i, name := range names {
		name = strings.Trim(name, " \t")
		if problem := t.badName(name); problem != "" {
			return fault.New(fault.Usage, fmt.Sprintf("%s: column %d: %s", t.label, i+1, problem), "the first row must have a name for each column")
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		t.names, t.keys = append(t.names, name), append(t.keys, key)
	}
	return nil
}

func (t *table) badName(name string) string {
	switch {
	case name == "":
		return "it has no name"
	case !utf8.ValidString(name):
		return notUTF8
	case slices.Contains(t.names, name):
		return fmt.Sprintf("the name %.40q stands twice", name)
	}
	return ""
}

const notUTF8 = "this is not UTF-8; iconv -f WINDOWS-1252 -t UTF-8 converts what older programs write"

// findNumbers finds the columns that are numbers.
func (t *table) findNumbers() error {
	t.numbers = make([]bool, len(t.names))
	for _, at := range slices.Concat(t.opt.Numbers, t.opt.NumbersFromText) {
		i := slices.IndexFunc(t.names, func(name string) bool {
			return at == "/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		})
		if i < 0 {
			return fault.New(fault.Usage, fmt.Sprintf("%s has no column for the pointer %.80q", t.label, at),
				fmt.Sprintf("its columns are %.200q", strings.Join(t.names, ", ")))
		}
		t.numbers[i] = true
	}
	return nil
}

// row returns the next row as an event.
func (t *table) row() (Event, error) {
	t.left = maxEvent + csvBuffer
	fields, err := t.csv.Read()
	bad := new(csv.ParseError)
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		line, _ := t.csv.FieldPos(0)
		return refused(line, "the row has %d fields, and the first row has %d", len(fields), len(t.names))
	case errors.As(err, &bad):
		return refused(bad.StartLine, "%s", csvReason(err))
	case errors.Is(err, io.EOF):
		return Event{}, io.EOF
	case errors.Is(err, errLong):
		return Event{}, fault.New(fault.Usage, fmt.Sprintf("%s: %s", t.label, csvReason(err)), "")
	case err != nil:
		return Event{}, t.unreadable(err)
	}
	line, _ := t.csv.FieldPos(0)
	e := Event{Line: line}
	e.Text, e.Err = t.object(fields)
	return e, nil
}

func refused(line int, format string, args ...any) (Event, error) {
	return Event{Line: line, Err: protocol.Failf(protocol.CodeEventNotCanonicalisable, format, args...)}, nil
}

// csvReason returns the reason of an error of encoding/csv.
func csvReason(err error) string {
	if errors.Is(err, errLong) {
		return fmt.Sprintf("a row is longer than %d bytes, or a quote is not closed", maxEvent-1)
	}
	bad := new(csv.ParseError)
	if !errors.As(err, &bad) {
		return err.Error()
	}
	what := bad.Err.Error()
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		what = "a field without quotes around it has a quote in it"
	case errors.Is(err, csv.ErrQuote):
		what = "a quote is not closed, or not doubled inside of a field"
	}
	if bad.Line == bad.StartLine {
		return fmt.Sprintf("%s, at byte %d", what, bad.Column)
	}
	return fmt.Sprintf("%s, at byte %d of line %d", what, bad.Column, bad.Line)
}

// object returns a row as a JSON object.
func (t *table) object(fields []string) ([]byte, error) {
	b := []byte{'{'}
	for i, field := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		value, err := t.value(i, field)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, t.keys[i]...), ':'), value...)
	}
	return append(b, '}'), nil
}

func (t *table) value(i int, field string) ([]byte, error) {
	if !utf8.ValidString(field) {
		return nil, protocol.Failf(protocol.CodeEventNotCanonicalisable, "column %.40q: %s", t.names[i], notUTF8)
	}
	if !t.numbers[i] {
		return json.Marshal(field)
	}
	number := strings.TrimPrefix(strings.Trim(field, " \t"), "+")
	if t.opt.DecimalComma {
		number = strings.NewReplacer(",", ".", ".", "!").Replace(number)
	}
	if number == "" || !strings.ContainsRune("-0123456789", rune(number[0])) || !json.Valid([]byte(number)) {
		return nil, protocol.Failf(protocol.CodeEventNotEncodable, "column %.40q: %.40q is no number%s", t.names[i], field, t.writing())
	}
	return []byte(number), nil
}

// writing says how numbers are written.
func (t *table) writing() string {
	if t.opt.DecimalComma {
		return " with a decimal comma"
	}
	return "; --decimal-comma reads 21,5"
}
