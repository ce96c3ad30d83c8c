package submit

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// lineFile is a file to which lines are appended. After an error it takes no further
// line, so that a line that was cut short stays the last one. Its methods may be called
// concurrently.
type lineFile struct {
	file *os.File

	mu  sync.Mutex
	err error
}

// append writes whole lines and makes them durable.
func (l *lineFile) append(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	_, err := l.file.WriteString(text)
	if err = errors.Join(err, l.file.Sync()); err != nil {
		l.err = fmt.Errorf("record of the run: %w", err)
	}
	return l.err
}
