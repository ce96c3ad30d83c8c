package efficiency_test

import (
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/protocol"
)

func TestMain(m *testing.M) {
	if status, ok := keyholder.RunChild(os.Args); ok {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// requestFrame is the size of every request to a keyholder, in bytes: a header of 16, and
// room for a payload and a tag. Its code is byte 8.
const requestFrame = 16 + protocol.PayloadSize + 32

// Codes of requests, as package keyholder numbers them.
var (
	signerCodes = map[byte]string{1: "start", 2: "anchor", 3: "checkpoint", 4: "hand-over", 5: "wipe", 6: "issued root", 7: "tree", 8: "leaves"}
	taggerCodes = map[byte]string{1: "start", 2: "issue", 3: "redeem", 4: "cancel", 5: "cancel all", 6: "stats"}
)

// starter starts keyholders and counts the frames that they are sent.
type starter struct {
	direct process.Direct
	count  func(kind, request string)
}

func (s starter) Start(kind string) (*process.Child, error) {
	c, err := s.direct.Start(kind)
	if err != nil {
		return nil, err
	}
	core, tapped, err := process.Pair(syscall.SOCK_STREAM)
	if err != nil {
		c.Kill()
		return nil, err
	}
	child := c.Sock
	c.Sock = core
	go func() {
		s.forward(kind, child, tapped)
		_ = child.Close() // the end of the socket ends the child
	}()
	go func() {
		_, _ = io.Copy(tapped, child)
		_ = tapped.Close()
	}()
	return c, nil
}

// forward passes whole frames on until the core closes its end.
func (s starter) forward(kind string, to io.Writer, from io.Reader) {
	codes := signerCodes
	if kind == "tagger" {
		codes = taggerCodes
	}
	frame := make([]byte, requestFrame)
	for {
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		s.count(kind, codes[frame[8]])
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}
