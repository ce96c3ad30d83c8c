package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/prover"
)

// Listen opens the admin socket. It replaces one on which no process listens. Without
// roles for others only the user of the server and root reach it. With them the kernel
// admits one group, or every user if several are named; the roles decide in any case.
func Listen(ctx context.Context, path string, roles *Roles) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	l, err := prover.Listen(ctx, path)
	if err != nil {
		return nil, err
	}
	switch gid, others := roles.reach(); {
	case !others:
	case gid >= 0:
		err = prover.Admit(path, gid, 0o660)
	default:
		err = prover.Admit(path, -1, 0o666) // the roles decide who may do what
	}
	if err != nil {
		return nil, errors.Join(fault.New(fault.Config, fmt.Sprintf("the admin socket cannot be given to its group: %v", err), ""), l.Close())
	}
	return l, nil
}

// places is how many connections peers of each role may have open, so that those with a
// smaller one cannot keep others out. Over TCP the role is not known yet.
var places = [...]int{principal.NoRole: 8, principal.Viewer: 8, principal.Operator: 8, principal.Commander: 16}

const tcpPlaces = 16

// Descriptors returns how many connections the listeners hold at most, which a process
// has to keep free.
func Descriptors(tcp bool) (n int) {
	for _, most := range places {
		n += most
	}
	if tcp {
		n += tcpPlaces
	}
	return n
}

// bounded is a listener that closes connections beyond its places.
type bounded struct {
	net.Listener
	s     *Server
	local [len(places)]chan struct{} // by role; one element for each connection
	tcp   chan struct{}
}

func (s *Server) bound(l net.Listener) net.Listener {
	b := &bounded{Listener: l, s: s, tcp: make(chan struct{}, tcpPlaces)}
	for role, most := range places {
		b.local[role] = make(chan struct{}, most)
	}
	return b
}

// Accept waits for a connection for which there is a place.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		places := b.tcp
		var p *peer
		if _, local := c.LocalAddr().(*net.UnixAddr); local {
			found, err := b.s.peers(c)
			if err != nil {
				b.s.cfg.Log.Warn("admin connection closed: the kernel does not name its peer", "err", err)
				_ = c.Close()
				continue
			}
			p = &found
			places = b.local[b.s.cfg.Roles.ofPeer(p)]
		}
		select {
		case places <- struct{}{}:
			return &conn{Conn: c, peer: p, free: sync.OnceFunc(func() { <-places })}, nil
		default:
			_ = c.Close() // nothing can be done about one that does not close
		}
	}
}

// conn is a connection that takes a place until it is closed.
type conn struct {
	net.Conn
	peer *peer // nil over TCP
	free func()
}

// Close closes the connection and frees its place.
func (c *conn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

type peerKey struct{}

// withPeer lets a handler see who is at the other end of a Unix socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if own, ok := c.(*conn); ok && own.peer != nil {
		return context.WithValue(ctx, peerKey{}, own.peer)
	}
	return ctx
}
