package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/termui"
)

// loader keeps connections to a server and sends requests over them. It does little work
// of its own, because the server needs the processor time.
type loader struct {
	address string
	conns   []loadConn
}

// loadConn is a connection that is opened with its first request: a server closes one that
// has none for seconds.
type loadConn struct {
	net.Conn
	answers *bufio.Reader
}

// newLoader returns a loader with n connections.
func newLoader(address string, n int) *loader {
	return &loader{address, make([]loadConn, n)}
}

func (l *loader) close() {
	for i := range l.conns {
		if c := l.conns[i].Conn; c != nil {
			_ = c.Close() // nothing is sent any more
		}
	}
}

// post sends every body to a path, one at a time on each connection, and expects
// the same status for all.
func (l *loader) post(ctx context.Context, p *termui.Progress, path string, status int, bodies [][]byte) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for k := range l.conns {
		c := &l.conns[k]
		g.Go(func() error {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return nil
				}
				if err := c.post(ctx, l.address, path, status, bodies[i]); err != nil {
					return err
				}
				p.Step(time.Now())
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// answerWithin is how long the server may take for one answer.
const answerWithin = 30 * time.Second

func (c *loadConn) post(ctx context.Context, host, path string, status int, body []byte) error {
	if c.Conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err != nil {
			return err
		}
		c.Conn, c.answers = conn, bufio.NewReader(conn)
	}
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, host, api.MediaJSON, len(body), body)
	if _, err := c.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != status {
		return fmt.Errorf("the server answered %d to a correct request", answer.StatusCode)
	}
	return nil
}

// openBodies returns the bodies of n requests for a challenge.
func openBodies(n int) ([][]byte, error) {
	bodies := make([][]byte, n)
	for i := range bodies {
		var err error
		if bodies[i], err = json.Marshal(openRequest()); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}
