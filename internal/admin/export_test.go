package admin

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"github.com/terradourada/td/internal/principal"
)

// ActionInfo is a line of the table of actions.
type ActionInfo struct {
	Name  string
	Least principal.Role
	Read  bool
	Stop  bool
}

// Actions returns the table of actions.
func Actions() (all []ActionInfo) {
	for _, a := range actions() {
		all = append(all, ActionInfo{a.name, a.least, a.method == http.MethodGet, a.stop})
	}
	return all
}

// Kinds returns the names of the kinds of incidents, with the ids of their checks.
func Kinds() map[string][]string {
	all := make(map[string][]string)
	for _, k := range kinds() {
		for _, c := range k.checks {
			all[k.name] = append(all[k.name], c.ID)
		}
	}
	return all
}

// SetPeer replaces what the kernel says of every later connection.
func (s *Server) SetPeer(peers func() (uid, gid uint32, groups []uint32)) {
	s.peers = func(net.Conn) (peer, error) {
		uid, gid, groups := peers()
		return peer{uid, gid, groups}, nil
	}
}

// Tick does what a second brings about.
func (s *Server) Tick(ctx context.Context) { s.tick(ctx) }

// DialTLS returns a client over TCP.
func DialTLS(addr string, cfg *tls.Config) *Conn {
	d := tls.Dialer{Config: cfg}
	return newConn(func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) })
}

// Raw sends a body as it is and returns the answer's error.
func (c *Conn) Raw(ctx context.Context, method, name, body string) error {
	var b []byte
	if method == http.MethodPost {
		b = []byte(body)
	}
	_, err := call[map[string]any](ctx, c, method, strings.TrimPrefix(name, Prefix), b)
	return err
}

// PeerOf asks the kernel for the other end of a socket.
func PeerOf(c net.Conn) (uid, gid uint32, groups []uint32, err error) {
	p, err := peerOf(c)
	return p.uid, p.gid, p.groups, err
}

// Bounds of the server.
const (
	MaxRefusals = maxRefusals
	MaxBody     = maxBody
	Window      = refusalWindow
)

// OfPeer returns the role of a peer.
func (r *Roles) OfPeer(uid, gid uint32, groups []uint32) principal.Role {
	return r.ofPeer(&peer{uid, gid, groups})
}
