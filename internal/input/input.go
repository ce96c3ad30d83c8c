package input

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

const (
	// maxEvent is how much of one event is read: a byte more than the protocol
	// allows, so that a longer one is refused as too large.
	maxEvent = protocol.MaxJSONSize + 1

	mark   = "\ufeff" // byte-order mark
	blanks = " \t\r\n"
)

// Flags are the options that a user sets.
type Flags struct {
	CSV             bool     // rows under a row of names
	DecimalComma    bool     // of numbers in CSV
	NumbersFromText []string // pointers to integers that are written as texts
}

// Options say what is read.
type Options struct {
	Flags
	Name    string // a file, or - for Stdin
	Stdin   io.Reader
	Command string   // that reads Stdin, as hints show it
	Numbers []string // pointers to columns of CSV that are numbers
}

// Event is one event of the input.
type Event struct {
	Line    int    // that it begins on
	Text    []byte // at most a byte more than an event may have
	Numbers int    // texts that became numbers
	Err     error  // why there is no event on this line, or nil
}

// Reader reads the events of one input.
type Reader struct {
	opt     Options
	label   string
	source  io.Reader
	opened  *os.File // nil for standard input
	numbers []pointer
	lines   bool // one event on each line, by the name

	r    *bufio.Reader
	line int  // lines read so far
	none bool // no event was read so far
	next func() (Event, error)
}

// Open opens an input and refuses what is none. It waits for no more of a stream than it
// needs to decide.
func Open(o Options) (r *Reader, err error) {
	r = &Reader{opt: o, label: "the input", source: o.Stdin}
	if r.numbers, err = parsePointers(o.NumbersFromText); err != nil {
		return nil, err
	}
	if o.DecimalComma && !o.CSV {
		return nil, fault.New(fault.Usage, "--decimal-comma is for --csv only", "JSON has a decimal point")
	}
	if o.Name != "-" {
		if r.opened, err = fsutil.Open(o.Name); err != nil {
			return nil, err
		}
		r.label, r.source, r.lines = o.Name, r.opened, hasSuffix(o.Name, ".jsonl", ".ndjson")
	}
	if err := r.start(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func hasSuffix(name string, suffixes ...string) bool {
	for _, s := range suffixes {
		if strings.HasSuffix(strings.ToLower(name), s) {
			return true
		}
	}
	return false
}

func (r *Reader) csvName() bool { return hasSuffix(r.opt.Name, ".csv", ".tsv") }

// Close closes the file.
func (r *Reader) Close() error {
	if r.opened == nil {
		return nil
	}
	return r.opened.Close()
}

// Rewindable reports whether the input can be read again.
func (r *Reader) Rewindable() bool {
	if r.opened == nil {
		return false
	}
	info, err := r.opened.Stat()
	return err == nil && info.Mode().IsRegular()
}

// Rewind begins again.
func (r *Reader) Rewind() error {
	if _, err := r.opened.Seek(0, io.SeekStart); err != nil {
		return r.unreadable(err)
	}
	return r.start()
}

// Next returns the next event, and io.EOF after the last one.
func (r *Reader) Next() (Event, error) {
	e, err := r.next()
	if r.none = r.none && errors.Is(err, io.EOF); r.none {
		return e, fault.New(fault.Usage, r.label+" holds no event", "")
	}
	if err == nil && e.Err == nil && !r.opt.CSV && len(r.numbers) > 0 {
		e.Text, e.Numbers, e.Err = numbersFromText(e.Text, r.numbers)
	}
	return e, err
}

func (r *Reader) start() error {
	r.r, r.line, r.none = bufio.NewReaderSize(r.source, maxEvent), 0, true
	if start, _ := r.r.Peek(len(mark)); string(start) == mark {
		_, _ = r.r.Discard(len(mark))
	}
	head, err := r.peek()
	if err != nil {
		return r.unreadable(err)
	}
	if r.opt.CSV {
		return r.startCSV(head)
	}
	if err := r.foreign(head); err != nil {
		return err
	}
	r.next = r.nextLine
	if !r.lines && !isLines(head) {
		r.next = r.whole
	}
	return nil
}

// decided reports whether the head of an input shows what it is: from the first line, if
// that is an event or none can begin there.
func (r *Reader) decided(head []byte) bool {
	if r.opt.CSV {
		_, ok := separator(head)
		return ok
	}
	text := bytes.TrimLeft(head, blanks)
	return isLines(text) || bytes.IndexByte(text, '\n') >= 0 && text[0] != '{' && text[0] != '['
}

// peek returns the head of the input as soon as it is decided, which the end of a line does.
func (r *Reader) peek() ([]byte, error) {
	for seen := 0; ; seen = r.r.Buffered() {
		_, err := r.r.Peek(min(seen+1, maxEvent))
		head, _ := r.r.Peek(r.r.Buffered()) // what is buffered is there
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil || seen >= maxEvent || bytes.IndexByte(head[seen:], '\n') >= 0 && r.decided(head):
			return head, nil
		}
	}
}

// isLines reports whether the first line that is not blank has ended and is a whole JSON
// value.
func isLines(head []byte) bool {
	first, _, ok := bytes.Cut(bytes.TrimLeft(head, blanks), []byte("\n"))
	return ok && json.Valid(first)
}

// whole returns the input as one event.
func (r *Reader) whole() (Event, error) {
	text, err := r.read(true)
	r.next = func() (Event, error) { return Event{}, io.EOF }
	return Event{Line: 1, Text: text}, err
}

// nextLine returns the next line that is not blank.
func (r *Reader) nextLine() (Event, error) {
	for {
		r.line++
		text, err := r.read(false)
		if err != nil {
			return Event{}, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return Event{Line: r.line, Text: text}, nil
		}
	}
}

// read returns a line without its end, or all that is left, but not more than
// maxEvent bytes of it; the rest is skipped.
func (r *Reader) read(all bool) ([]byte, error) {
	var text []byte
	for n := 0; ; n++ {
		part, err := r.r.ReadSlice('\n')
		ended := err == nil && !all
		if ended {
			part = part[:len(part)-1]
		}
		text = append(text, part[:min(len(part), maxEvent-len(text))]...)
		switch {
		case ended:
			return text, nil
		case errors.Is(err, io.EOF):
			if n == 0 && len(part) == 0 && !all {
				return nil, io.EOF
			}
			return text, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, r.unreadable(err)
		}
	}
}

func (r *Reader) unreadable(err error) error {
	if errors.Is(err, syscall.EISDIR) {
		return fault.New(fault.Usage, r.label+" is a directory", "INPUT is a file, or - for standard input")
	}
	return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be read: %v", r.label, err), "")
}

// One reads the only event of an input.
func One(o Options) (Event, error) {
	r, err := Open(o)
	if err != nil {
		return Event{}, err
	}
	e, err := r.Next()
	if err == nil {
		err = e.Err
	}
	if err == nil {
		if _, more := r.Next(); !errors.Is(more, io.EOF) {
			err = fault.New(fault.Usage, fmt.Sprintf("%s holds more than one event", r.label), "td submit takes one on each line")
		}
	}
	return e, errors.Join(err, r.Close())
}
