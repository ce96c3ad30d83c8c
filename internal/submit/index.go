package submit

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// IndexName is the name of the index in the directory of the receipts. The package
// comment describes it.
const IndexName = "td-submit.index.jsonl"

// record is a line of the index.
type record struct {
	Input     string             `json:"input"`
	Line      int                `json:"line"`
	RequestID protocol.RequestID `json:"request_id"`
	Index     uint64             `json:"index"`
	Receipt   string             `json:"receipt"`
	Opening   string             `json:"opening"`
}

// index is the index file. The state is the truth: what is done there and missing here is
// added when the index is opened. Its methods may be called concurrently.
type index struct {
	lines *lineFile

	mu  sync.Mutex
	has map[protocol.RequestID]bool
}

// openIndex makes or continues the index in a directory, and completes it.
func openIndex(dir string, requests []*request) (*index, error) {
	path := filepath.Join(dir, IndexName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be opened: %v", path, err), "--out names another directory")
	}
	x := &index{lines: &lineFile{file: f}, has: map[protocol.RequestID]bool{}}
	err = x.load()
	if err == nil {
		err = errors.Join(x.add(requests...), fsutil.SyncDir(dir))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return x, nil
}

// load reads which requests the index has. An interrupted write leaves a last line
// without its end, which is cut off.
func (x *index) load() error {
	whole := int64(0)
	for r := bufio.NewReader(x.lines.file); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return x.lines.file.Truncate(whole)
		}
		var have record
		if err == nil {
			err = json.Unmarshal(line, &have)
		}
		if err != nil || have.RequestID == (protocol.RequestID{}) {
			return fault.New(fault.Unexpected, fmt.Sprintf("%s is not an index of receipts, at byte %d", x.lines.file.Name(), whole), "move it away; the same command writes it anew")
		}
		x.has[have.RequestID] = true
		whole += int64(len(line))
	}
}

// add appends those of the requests that are done and missing.
func (x *index) add(requests ...*request) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, q := range requests {
		if q.stage != done || x.has[q.id] {
			continue
		}
		x.has[q.id] = true
		err := enc.Encode(record{
			Input: q.input, Line: q.line, RequestID: q.id, Index: q.index,
			Receipt: q.receiptName(), Opening: openingName(q.id),
		})
		if err != nil {
			return err
		}
	}
	if text.Len() == 0 {
		return nil
	}
	return x.lines.append(text.String())
}

// inputName returns the name under which the events of an input are recorded: the one
// given, "-" for standard input, or the path of the file as seen from the directory of
// the receipts, so that it is the same from every working directory.
func inputName(dir, input, given string) string {
	if given != "" || input == "-" {
		return cmp.Or(given, input)
	}
	from, err1 := filepath.Abs(dir)
	to, err2 := filepath.Abs(input)
	rel, err3 := filepath.Rel(from, to)
	if errors.Join(err1, err2, err3) != nil {
		return input
	}
	return filepath.ToSlash(rel)
}
