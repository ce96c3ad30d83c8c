package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// maxRecords bounds the files of a record: NAME, then NAME.1 and so on, one for each start.
const maxRecords = 100

// errNoRecord means that the files of a record are as many, or as large, as they may be. A
// server starts without a record then.
var errNoRecord = errors.New("the files of the record are as many, or as large, as they may be: move them elsewhere")

// openRecord makes the next file of a record, and returns how many bytes it may have:
// together the files have at most so many. No file is ever overwritten, and the number of
// a file is greater than those of all former ones that are still there.
func openRecord(name string, most int64) (file *os.File, left int64, err error) {
	next := 0
	left = most
	for i := range maxRecords {
		info, err := os.Lstat(recordName(name, i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		next, left = i+1, left-info.Size()
	}
	if next >= maxRecords || left <= 0 {
		return nil, 0, fmt.Errorf("%s: %w", name, errNoRecord)
	}
	file, err = os.OpenFile(recordName(name, next), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return file, left, err
}

// recordName returns the name of a file of a record.
func recordName(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "." + strconv.Itoa(i)
}
