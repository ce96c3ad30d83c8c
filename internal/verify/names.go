package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
)

// maxPath bounds a name in a list, in bytes.
const maxPath = 4096

// file is a file to verify.
type file struct {
	name  string
	stdin bool // the content is that of standard input
}

// names returns the files to verify, one after the other: those given as arguments, then
// those of a list.
type names struct {
	args []string
	list *bufio.Reader // nil without a list
	from string        // what is read as list
	end  byte          // ends a name of the list
	read int           // names read so far
}

// openNames opens the list that the options name. It returns a function that closes it.
func openNames(args []string, stdin io.Reader, o *Options) (*names, func() error, error) {
	n, closeList := &names{args: args, from: o.FilesFrom, end: '\n'}, func() error { return nil }
	for i, name := range args {
		if name == "-" && (o.FilesFrom == "-" || slices.Contains(args[:i], name)) {
			return nil, nil, fault.New(fault.Usage, "standard input was named twice", "")
		}
	}
	if o.Null {
		n.end = 0
	}
	switch o.FilesFrom {
	case "":
		if o.Null {
			return nil, nil, fault.New(fault.Usage, "--null says how names in a list end, and no list was given", "--files-from names it")
		}
	case "-":
		n.list, n.from = bufio.NewReaderSize(stdin, maxPath), "standard input"
	default:
		f, err := fsutil.Open(o.FilesFrom)
		if err != nil {
			return nil, nil, err
		}
		n.list, closeList = bufio.NewReaderSize(f, maxPath), f.Close
	}
	return n, closeList, nil
}

// next returns the next file, and io.EOF after the last one. Empty names of the list are
// skipped.
func (n *names) next() (file, error) {
	if n.read < len(n.args) {
		name := n.args[n.read]
		n.read++
		return file{name, name == "-"}, nil
	}
	for n.list != nil {
		name, err := n.list.ReadSlice(n.end)
		switch {
		case n.end != 0 && bytes.IndexByte(name, 0) >= 0:
			return file{}, fault.New(fault.Usage, n.from+" has names that end with NUL", "--null reads them")
		case errors.Is(err, bufio.ErrBufferFull):
			return file{}, fault.New(fault.Usage, fmt.Sprintf("%s has a name longer than %d bytes", n.from, maxPath), "names end with a line end, or with NUL if --null is given")
		case err != nil && !errors.Is(err, io.EOF):
			return file{}, fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be read: %v", n.from, err), "")
		}
		if name = n.trim(name); len(name) > 0 {
			n.read++
			return file{name: string(name)}, nil
		}
		if err != nil {
			break
		}
	}
	if n.read == 0 {
		return file{}, fault.New(fault.Usage, fmt.Sprintf("%s has no names of receipts", n.from), "")
	}
	return file{}, io.EOF
}

// trim returns a name without its end. A line may end with CR LF.
func (n *names) trim(name []byte) []byte {
	name = bytes.TrimSuffix(name, []byte{n.end})
	if n.end == '\n' {
		name = bytes.TrimSuffix(name, []byte{'\r'})
	}
	return name
}
