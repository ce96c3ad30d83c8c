package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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
		err = errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660))
	default:
		err = os.Chmod(path, 0o666) //nolint:gosec // the roles decide who may do what
	}
	if err != nil {
		return nil, errors.Join(fault.New(fault.Config, fmt.Sprintf("the admin socket cannot be given to its group: %v", err), ""), l.Close())
	}
	return l, nil
}

// Places for open connections. Peers without a role have few, so they cannot keep others
// out.
const (
	maxConns     = 16
	maxStrangers = 8
)

// Descriptors returns how many connections the listeners hold at most, which a process
// has to keep free.
func Descriptors(tcp bool) int {
	n := maxConns + maxStrangers
	if tcp {
		n += maxConns
	}
	return n
}

// bounded is a listener that closes connections beyond its places.
type bounded struct {
	net.Listener
	s     *Server
	known chan struct{} // one element for each connection of a peer with a role, or over TCP
	other chan struct{} // the same for the other ones
}

func (s *Server) bound(l net.Listener) net.Listener {
	return &bounded{l, s, make(chan struct{}, maxConns), make(chan struct{}, maxStrangers)}
}

// Accept waits for a connection for which there is a place.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		places := b.known
		var p *peer
		if _, local := c.LocalAddr().(*net.UnixAddr); local {
			found, err := b.s.peers(c)
			if err != nil {
				b.s.cfg.Log.Warn("admin connection closed: the kernel does not name its peer", "err", err)
				_ = c.Close()
				continue
			}
			if p = &found; b.s.cfg.Roles.ofPeer(p) == principal.NoRole {
				places = b.other
			}
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
