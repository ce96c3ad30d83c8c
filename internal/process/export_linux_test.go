package process

import (
	"net"
	"os"
	"sync"
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

// Conns is a packet socket and its other end, as a launcher has them.
func Conns() (a, b *net.UnixConn, err error) {
	core, theirs, err := Pair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, nil, err
	}
	if a, err = Conn(core); err == nil {
		b, err = Conn(theirs)
	}
	return a, b, err
}

// StartAt starts a program that is not this one.
func StartAt(path string) error {
	own, child, err := Pair(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	defer own.Close()
	defer child.Close()
	cmd, err := command(path, nil, child)
	if err == nil {
		_, err = start(cmd)
	}
	return err
}

// EndWith closes a launcher's socket when a process ends.
var EndWith = endWith

// Serve is the loop of a launcher; start starts its children.
func Serve(conn *net.UnixConn, kinds []string, start func(string) (*Child, error)) error {
	s := server{conn: conn, kinds: kinds, start: start, children: map[uint32]*Child{}}
	return s.serve()
}

// Fake returns a child without a process. It ends when it is killed, which calls
// killed.
func Fake(sock *os.File, killed func()) *Child {
	end := newEnding()
	kill := sync.OnceFunc(func() { killed(); end.set(End{Code: -1, Text: "signal: killed"}) })
	return &Child{PID: 1, Sock: sock, kill: kill, ending: end}
}

// Client returns the core's side of a socket, and what ends the process at the
// other end.
func Client(conn *net.UnixConn, kinds ...string) (l *Launcher, end func(End)) {
	return ClientOf(conn, defaultPatience, kinds...)
}

// ClientOf is Client with another patience.
func ClientOf(conn *net.UnixConn, patience time.Duration, kinds ...string) (l *Launcher, end func(End)) {
	process := newEnding()
	l = newLauncher(conn, 0, process, kinds, patience)
	go l.read()
	return l, process.set
}

// Frames of a launcher, for tests that speak in its place.
func StartedAnswer(id uint32, pid int32) []byte {
	return answer{op: ansStarted, id: id, value: pid}.encode()
}

func EndedAnswer(id uint32, code int32, text string) []byte {
	return answer{op: ansEnded, id: id, value: code, text: text}.encode()
}
