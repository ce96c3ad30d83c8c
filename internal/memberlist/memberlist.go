// Package memberlist reads the member lists of group/1 from files. Its errors
// are faults.
package memberlist

import (
	"fmt"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

// ReadAll reads the member lists in these files. The same list twice is an error.
func ReadAll(paths []string) ([]*claim.List, error) {
	var lists []*claim.List
	seen := map[protocol.ListID]string{}
	for _, path := range paths {
		l, err := Read(path)
		if err != nil {
			return nil, err
		}
		if other, twice := seen[l.ID()]; twice {
			return nil, fault.New(fault.Config, fmt.Sprintf("%s and %s are the same member list", other, path), "")
		}
		seen[l.ID()] = path
		lists = append(lists, l)
	}
	return lists, nil
}

// Read reads the member list in a file.
func Read(path string) (*claim.List, error) {
	return fsutil.ParseFile(path, 1<<20, claim.ParseList, fault.Config, " is not a member list", "td claims list-file writes one")
}
