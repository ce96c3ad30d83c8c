package seriesfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/terradourada/td/internal/fault"
)

// maxLine bounds a line in bytes.
const maxLine = 4096

// Row is a row of a file.
type Row struct {
	Line      int    // in the file, from 1
	Timestamp string // as it stands there
	At        time.Time
	Value     float64
	Missing   bool // there is no number; Value is NaN
}

// Reader reads the rows of a file.
type Reader struct {
	in        *bufio.Reader
	label     string
	line      int
	separator byte
	columns   int
	at, value int // columns
	form      *form
	rows      int // with a value
	fields    []string
	clock     clock
	missing   tally
}

// NewReader returns a reader. Errors begin with the label.
func NewReader(r io.Reader, label string) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, maxLine), label: label, value: 1}
}

// Idle reports whether the next row has not been read ahead.
func (r *Reader) Idle() bool { return r.in.Buffered() == 0 }

// Next returns the next row, or [io.EOF] after the last one. Other errors are faults that
// name the row, and end the file.
func (r *Reader) Next() (Row, error) {
	for {
		line, err := r.read()
		if err != nil {
			return Row{}, err
		}
		if line == "" {
			continue
		}
		if r.columns == 0 {
			isHeader, err := r.begin(line)
			if err != nil {
				return Row{}, err
			}
			if isHeader {
				continue
			}
		}
		return r.parse(line)
	}
}

// read returns the next line without its end and without blanks around it.
func (r *Reader) read() (string, error) {
	b, err := r.in.ReadSlice('\n')
	r.line++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", r.refuse("the line is longer than %d bytes", maxLine)
	case errors.Is(err, io.EOF) && len(b) == 0:
		return "", r.end()
	case err != nil && !errors.Is(err, io.EOF):
		return "", fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be read: %v", r.label, err), "")
	}
	if r.line == 1 {
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", fault.New(fault.Usage, fmt.Sprintf("%s: row %d is no text in UTF-8", r.label, r.line), "iconv -t UTF-8 converts text; a spreadsheet or an archive is saved as CSV first")
	}
	return string(bytes.TrimSpace(b)), nil
}

// end returns why there is no further row.
func (r *Reader) end() error {
	switch {
	case r.columns == 0:
		return fault.New(fault.Usage, r.label+" is empty", "a row is TIMESTAMP,VALUE")
	case r.rows == 0:
		return fault.New(fault.Usage, r.label+" has no row with a value", "a row is TIMESTAMP,VALUE")
	}
	return io.EOF
}

func (r *Reader) refuse(format string, args ...any) error {
	return fault.New(fault.Usage, fmt.Sprintf("%s: row %d: %s", r.label, r.line, fmt.Sprintf(format, args...)), "td anomaly score --help lists the forms that are read")
}

// begin finds separator and columns in the first row. It reports whether that has names.
func (r *Reader) begin(line string) (isHeader bool, err error) {
	r.separator = ','
	if i := strings.IndexAny(line, ";\t,"); i >= 0 {
		r.separator = line[i]
	}
	r.split(line)
	r.columns = len(r.fields)
	if r.columns < 2 {
		return false, r.refuse("it has one column, and a time and a value are needed")
	}
	first := r.fields[0]
	isHeader = first == "" || !strings.ContainsRune("+-0123456789", rune(first[0]))
	named := false
	if isHeader {
		at := slices.IndexFunc(r.fields, func(name string) bool {
			return slices.Contains([]string{"timestamp", "time", "date", "datetime", "ts"}, strings.ToLower(name))
		})
		value := slices.IndexFunc(r.fields, func(name string) bool { return strings.EqualFold(name, "value") })
		if named = at >= 0 && value >= 0; named {
			r.at, r.value = at, value
		}
	}
	if r.columns > 2 && !named {
		return false, r.refuse("it has %d columns; name two of them timestamp and value, or keep only these", r.columns)
	}
	return isHeader, nil
}

// split sets the fields of a line. Quotes around a field are dropped.
func (r *Reader) split(line string) {
	r.fields = r.fields[:0]
	for {
		var field, rest string
		var more bool
		if quoted, ok := strings.CutPrefix(line, `"`); ok && strings.Contains(quoted, `"`) {
			field, rest, _ = strings.Cut(quoted, `"`)
			_, rest, more = strings.Cut(rest, string(r.separator))
		} else {
			field, rest, more = strings.Cut(line, string(r.separator))
		}
		r.fields = append(r.fields, strings.TrimSpace(field))
		if !more {
			return
		}
		line = rest
	}
}

func (r *Reader) parse(line string) (Row, error) {
	r.split(line)
	if len(r.fields) != r.columns {
		return Row{}, r.refuse("it has %d columns, and the first row has %d", len(r.fields), r.columns)
	}
	row := Row{Line: r.line, Timestamp: r.fields[r.at], Value: math.NaN()}
	if err := r.parseTime(&row); err != nil {
		return Row{}, err
	}
	if err := r.clock.add(&row, r.form.zoneless); err != nil {
		return Row{}, r.refuse("%s", err)
	}
	text := r.fields[r.value]
	if slices.Contains(missingTexts, strings.ToLower(text)) {
		row.Missing = true
		r.missing.add(r.line)
		return row, nil
	}
	var err error
	if row.Value, err = r.number(text); err != nil {
		return Row{}, err
	}
	r.rows++
	return row, nil
}

// missingTexts are what exports write where there is no number, in lower case.
var missingTexts = []string{"", "nan", "null", "none", "na", "n/a", "-", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}

func (r *Reader) number(text string) (float64, error) {
	number := text
	if strings.Contains(text, ",") {
		if r.separator == ',' || strings.Contains(text, ".") || strings.Count(text, ",") > 1 {
			return 0, r.refuse("%.40q has a comma; only a decimal comma is read, in files separated by ; or tabs", text)
		}
		number = strings.Replace(text, ",", ".", 1)
	}
	v, err := strconv.ParseFloat(number, 64)
	if strings.Trim(number, "+-.0123456789eE") != "" || err != nil {
		return 0, r.refuse("%.40q is no number", text)
	}
	return v, nil
}

// form is a form of times.
type form struct {
	name     string
	zoneless bool
	parse    func(string) (time.Time, error)
}

var forms = []form{
	{"RFC 3339", false, layout(time.RFC3339)},
	{"YYYY-MM-DD HH:MM:SS", true, layout(time.DateTime)},
	{"YYYY-MM-DDTHH:MM:SS", true, layout("2006-01-02T15:04:05")},
	{"YYYY-MM-DD HH:MM:SS with a zone", false, layout("2006-01-02 15:04:05Z07:00")},
	{"Unix seconds", false, unixSeconds},
}

func layout(l string) func(string) (time.Time, error) {
	return func(s string) (time.Time, error) { return time.Parse(l, s) }
}

var errMilliseconds = errors.New("milliseconds")

// lastSecond is in the year 5138. What is above are milliseconds or less.
const lastSecond = 1e11

func unixSeconds(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0123456789") != "" || len(fraction) > 9 {
		return time.Time{}, errors.New("no number")
	}
	if seconds >= lastSecond || seconds <= -lastSecond {
		return time.Time{}, errMilliseconds
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return time.Unix(seconds, nanos).UTC(), nil
}

// parseTime sets the time of a row. The first one decides the form of all.
func (r *Reader) parseTime(row *Row) error {
	if r.form == nil {
		for i := range forms {
			at, err := forms[i].parse(row.Timestamp)
			if err == nil {
				r.form, row.At = &forms[i], at
				return nil
			}
			if errors.Is(err, errMilliseconds) {
				return r.refuse("%.40q is too large for Unix seconds; milliseconds are to be divided by 1000", row.Timestamp)
			}
		}
		return r.refuse("%.40q is no time: RFC 3339, YYYY-MM-DD HH:MM:SS or Unix seconds", row.Timestamp)
	}
	var err error
	if row.At, err = r.form.parse(row.Timestamp); err != nil {
		return r.refuse("%.40q is no time of the form of the first row, %s", row.Timestamp, r.form.name)
	}
	return nil
}

// Warnings returns what was counted so far, one sentence for each kind.
func (r *Reader) Warnings() []string {
	return slices.DeleteFunc(append([]string{
		r.missing.text("%s without a number, not scored"),
	}, r.clock.warnings()...), func(s string) bool { return s == "" })
}
