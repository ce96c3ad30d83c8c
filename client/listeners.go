package client

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// judgeListeners returns why the listening sockets of an address, inode to owner, are not
// trusted, or nil if they are. err is why they could not be read, if they could not.
// Trusted owners are root, the own user and the user of the server, which is root if none
// was named.
func judgeListeners(at netip.AddrPort, before, after map[uint64]uint32, err error, trusted [3]uint32) *NotLiveError {
	switch {
	case err != nil:
		return &NotLiveError{Reason: fmt.Sprintf("the system does not show who listens on %s: %v", at, err)}
	case len(before) == 0:
		return &NotLiveError{Reason: fmt.Sprintf("the system shows no listener on %s", at), changing: true}
	case !maps.Equal(before, after):
		return &NotLiveError{Reason: fmt.Sprintf("the listener on %s changed while the connection was made", at), changing: true}
	}
	for _, uid := range before {
		if slices.Contains(trusted[:], uid) {
			continue
		}
		others := "which is neither root nor this user"
		if named := trusted[2]; named != 0 {
			others = fmt.Sprintf("which is none of root, this user and user %d, who was named as the server's", named)
		}
		return &NotLiveError{Reason: fmt.Sprintf("the listener on %s belongs to user %d, %s", at, uid, others), Owner: uid}
	}
	return nil
}
