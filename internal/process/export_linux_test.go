package process

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// MaxChildren bounds the children that live at a time.
const MaxChildren = maxChildren

// CloseOnExec and CloseEachOnExec keep the descriptors of this process from
// programs it starts.
var (
	CloseOnExec     = closeOnExec
	CloseEachOnExec = closeEachOnExec
)

// Pair is a packet socket and its other end, as a launcher has them.
func Pair() (a, b *net.UnixConn, err error) {
	core, theirs, err := socketpair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, err
	}
	if a, err = packetConn(core); err == nil {
		b, err = packetConn(theirs)
	}
	return a, b, err
}

// EndWith closes a launcher's socket when a process ends.
var EndWith = endWith

// Serve is the loop of a launcher; start starts its children.
func Serve(conn *net.UnixConn, kinds []string, start func(string) (*Child, error)) error {
	s := server{conn: conn, kinds: kinds, start: start, children: map[uint32]*Child{}}
	return s.serve()
}

// Fake is a child that exists only here: kill is called to end it.
func Fake(d *Child, kill func()) *Child { d.kill = kill; return d }

// Client is the core's side of a socket; ended is the end of the process that is
// at the other end.
func Client(conn *net.UnixConn, ended <-chan End, kinds ...string) *Launcher {
	return ClientOf(conn, ended, defaultPatience, kinds...)
}

// ClientOf is one with another patience.
func ClientOf(conn *net.UnixConn, ended <-chan End, patience time.Duration, kinds ...string) *Launcher {
	l := newLauncher(conn, 0, ended, kinds, patience)
	go l.read()
	return l
}

// Frames of a launcher, for tests that speak in its place.
func StartedAnswer(id uint32, pid int32) []byte {
	return answer{op: ansStarted, id: id, value: pid}.encode()
}

func EndedAnswer(id uint32, code int32, text string) []byte {
	return answer{op: ansEnded, id: id, value: code, text: text}.encode()
}
