package client

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// judgeListeners returns why the listening sockets of an address, inode to owner,
// are not known to be the server's, or "" if they are. err is why they could not be
// read, if they could not.
func judgeListeners(at netip.AddrPort, before, after map[uint64]uint32, err error, trusted []uint32) string {
	switch {
	case err != nil:
		return fmt.Sprintf("the system does not show who listens on %s: %v", at, err)
	case len(before) == 0:
		return fmt.Sprintf("the system shows no listener on %s", at)
	case !maps.Equal(before, after):
		return fmt.Sprintf("the listener on %s changed while the connection was made", at)
	}
	for _, uid := range before {
		if !slices.Contains(trusted, uid) {
			return fmt.Sprintf("the listener on %s belongs to user %d, which is neither root nor this user nor the one named as the server's", at, uid)
		}
	}
	return ""
}
