package prover

import (
	"net"
	"os"
	"syscall"
	"time"

	"github.com/terradourada/td/internal/process"
)

// NewHandoff is the listener of a child.
func NewHandoff(f *os.File) (net.Listener, error) { return newHandoff(f) }

// Pair returns a handoff listener and the socket that dials it.
func Pair() (net.Listener, *net.UnixConn, error) {
	ours, theirs, err := process.Pair(syscall.SOCK_STREAM)
	if err != nil {
		return nil, nil, err
	}
	ln, err := newHandoff(theirs)
	if err != nil {
		return nil, nil, err
	}
	c, err := process.Conn(ours)
	return ln, c, err
}

// Dial makes a connection by handing over its other end.
func Dial(sock *net.UnixConn) (net.Conn, error) { return dial(sock) }

// EncodeJob is the body of a request.
func EncodeJob(j *Job, now time.Time) ([]byte, error) { return encodeJob(j, now) }

// DecodeTask reports whether a body is a request.
func DecodeTask(b []byte) error { _, err := decodeTask(b); return err }

// DecodeAnswer reads an answer.
func DecodeAnswer(b []byte) (Answer, error) { return decodeAnswer(b) }

// SameUser is the default of Config.Peer.
func SameUser(c net.Conn) error { return userPeer(os.Geteuid())(c) }

// PID is the process of the prover, 0 for none.
func (p *Pool) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Watch is closed when the prover comes or goes the next time.
func (p *Pool) Watch() (ready bool, change <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.client != nil, p.change
}
