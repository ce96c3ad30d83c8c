package admin

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// Roles says which local users, groups and client certificates have which role.
type Roles struct {
	users, groups map[uint32]principal.Role
	certificates  map[protocol.Digest]principal.Role
	own           []uint32 // users who have a role without being named
}

// NewRoles returns the roles of a server without settings: root and the user who started
// the server are commanders.
func NewRoles(own uint32) *Roles {
	r := &Roles{users: make(map[uint32]principal.Role), groups: make(map[uint32]principal.Role), certificates: make(map[protocol.Digest]principal.Role), own: []uint32{0, own}}
	for _, uid := range r.own {
		r.users[uid] = principal.Commander
	}
	return r
}

// Grant adds a role for what a setting names: "user:1000", "user:alice", "group:ops". The
// greatest of several roles counts.
func (r *Roles) Grant(role principal.Role, setting string, names []string) error {
	for _, name := range names {
		kind, who, _ := strings.Cut(name, ":")
		var of map[uint32]principal.Role
		var id string
		var err error
		switch kind {
		case "user":
			of = r.users
			if id = who; !isNumber(who) {
				var u *user.User
				if u, err = user.Lookup(who); err == nil {
					id = u.Uid
				}
			}
		case "group":
			of = r.groups
			if id = who; !isNumber(who) {
				var g *user.Group
				if g, err = user.LookupGroup(who); err == nil {
					id = g.Gid
				}
			}
		default:
			return fault.New(fault.Config, setting+" names users and groups as user:NAME and group:NAME, or by numbers", "")
		}
		n, perr := strconv.ParseUint(id, 10, 32)
		if err != nil || perr != nil || n == 1<<32-1 {
			return fault.New(fault.Config, fmt.Sprintf("%s: there is no %s of this name: %s", setting, kind, protocol.Printable(who)), "")
		}
		of[uint32(n)] = max(of[uint32(n)], role)
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}

// GrantCertificates adds the roles of client certificates, by the content of a file: lines
// with the SHA-256 of a certificate in hexadecimal, a space and a role. Empty lines and
// those that begin with # are skipped.
func (r *Roles) GrantCertificates(name string, b []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		role := principal.NoRole
		if len(words) == 2 {
			role = roleOf(words[1])
		}
		b, err := hex.DecodeString(words[0])
		if role == principal.NoRole || err != nil || len(b) != protocol.DigestSize {
			return fault.New(fault.Config, fmt.Sprintf("%s:%d: a line is the SHA-256 of a certificate in hexadecimal and viewer, operator or commander", name, n), "")
		}
		digest := protocol.Digest(b)
		if _, twice := r.certificates[digest]; twice {
			return fault.New(fault.Config, fmt.Sprintf("%s:%d: the certificate has a role already", name, n), "")
		}
		r.certificates[digest] = role
	}
	if err := lines.Err(); err != nil {
		return fault.New(fault.Config, fmt.Sprintf("%s cannot be read: %v", name, err), "")
	}
	return nil
}

func roleOf(word string) principal.Role {
	for _, r := range []principal.Role{principal.Viewer, principal.Operator, principal.Commander} {
		if r.String() == word {
			return r
		}
	}
	return principal.NoRole
}

// ofPeer returns the greatest role of a user and their groups.
func (r *Roles) ofPeer(p *peer) principal.Role {
	role := max(r.users[p.uid], r.groups[p.gid])
	for _, gid := range p.groups {
		role = max(role, r.groups[gid])
	}
	return role
}

// reach returns whom the socket has to admit besides the owner: with others false no
// user, else one group, or with gid -1 every user.
func (r *Roles) reach() (gid int, others bool) {
	named := len(r.groups)
	for uid := range r.users {
		if !slices.Contains(r.own, uid) {
			named += 2
		}
	}
	switch named {
	case 0:
		return -1, false
	case 1:
		for g := range maps.Keys(r.groups) {
			return int(g), true
		}
	}
	return -1, true
}
