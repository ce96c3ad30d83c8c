package receipt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// Member lists in a trust store are files lists/<list id>.json: the user who
// keeps one vouches that it is the electorate meant. A list's id is a hash of
// its contents, so a file can be removed but not changed unnoticed.
const listsDir = "lists"

// maxListFile bounds a list file, in bytes.
const maxListFile = 1 << 20

// AddList keeps a member list, so that receipts of group/1 verify on this
// machine without naming the list each time.
func (t *TrustStore) AddList(l *claim.List) error {
	dir := filepath.Join(t.dir, listsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("trust store: %w", err)
	}
	path := filepath.Join(dir, l.ID().String()+".json")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return t.write(path, string(l.Encode()), os.Rename)
}

// Lists reads the member lists that were kept. A file whose contents do not
// match its name is an error: the store was changed.
func (t *TrustStore) Lists() ([]*claim.List, error) {
	files, err := os.ReadDir(filepath.Join(t.dir, listsDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trust store: %w", err)
	}
	var lists []*claim.List
	for _, f := range files {
		name, isList := strings.CutSuffix(f.Name(), ".json")
		id, err := protocol.Parse[protocol.ListID](name)
		if !isList || err != nil {
			continue // a temporary file, or not written by this package
		}
		l, err := t.readList(f.Name())
		if err != nil || l.ID() != id {
			return nil, fmt.Errorf("trust store: %s is not the member list its name says", filepath.Join(t.dir, listsDir, f.Name()))
		}
		lists = append(lists, l)
	}
	return lists, nil
}

// readList reads one file of the directory.
func (t *TrustStore) readList(name string) (*claim.List, error) {
	f, err := os.OpenInRoot(filepath.Join(t.dir, listsDir), name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxListFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxListFile {
		return nil, errors.New("file is too large")
	}
	return claim.ParseList(b)
}
