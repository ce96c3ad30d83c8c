package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
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
// smaller one cannot keep others out. Over TCP the role is not known yet. Peers share the
// places of a role: see pool.
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
	local [len(places)]pool // by role
	tcp   pool
}

func (s *Server) bound(l net.Listener) net.Listener {
	b := &bounded{Listener: l, s: s, tcp: pool{most: tcpPlaces}}
	for role, most := range places {
		b.local[role].most = most
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
		own := &conn{Conn: c, pool: &b.tcp}
		if _, local := c.LocalAddr().(*net.UnixAddr); local {
			p, err := b.s.peers(c)
			if err != nil {
				b.s.cfg.Log.Warn("admin connection closed: the kernel does not name its peer", "err", err)
				_ = c.Close()
				continue
			}
			own.peer, own.of, own.pool = &p, strconv.FormatUint(uint64(p.uid), 10), &b.local[b.s.cfg.Roles.ofPeer(&p)]
		} else if host, _, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil {
			own.of = host
		}
		out := own.pool.add(own)
		if out != nil {
			_ = out.Conn.Close() // nothing can be done about one that does not close
		}
		if out != own {
			return own, nil
		}
	}
}

// pool holds the open connections that share a number of places.
type pool struct {
	most int

	mu   sync.Mutex // guards what follows
	open []*conn    // the oldest first
}

// add puts a connection on a place. If there is none, the peer with the most connections
// loses its oldest one, unless the new connection's peer would then have as many. It
// returns the connection to close: that one, or the new one.
func (p *pool) add(c *conn) (out *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= p.most {
		count, most := make(map[string]int), c.of
		for _, one := range p.open {
			if count[one.of]++; count[one.of] > count[most] {
				most = one.of
			}
		}
		if count[most] < count[c.of]+2 {
			return c
		}
		i := slices.IndexFunc(p.open, func(one *conn) bool { return one.of == most })
		out = p.open[i]
		p.open = slices.Delete(p.open, i, i+1)
	}
	p.open = append(p.open, c)
	return out
}

// remove frees the place of a connection, if it still has one.
func (p *pool) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = slices.DeleteFunc(p.open, func(one *conn) bool { return one == c })
}

// conn is a connection that takes a place until it is closed.
type conn struct {
	net.Conn
	pool *pool
	of   string // user id or network address of the peer
	peer *peer  // nil over TCP
}

// Close closes the connection and frees its place.
func (c *conn) Close() error {
	defer c.pool.remove(c)
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
