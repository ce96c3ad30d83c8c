package keyholder_test

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// However a program ends, nothing is left in its region then, nor is anything
// written there afterwards by what was at work.
func TestProgramsWipeTheirRegion(t *testing.T) {
	t.Parallel()
	signer := func(t *testing.T) (keyholder.Program, int) {
		t.Helper()
		p, err := keyholder.NewSigner(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
		if err != nil {
			t.Fatal(err)
		}
		return p, keyholder.SignerReadySize
	}
	tagger := func(t *testing.T) (keyholder.Program, int) {
		t.Helper()
		p, err := keyholder.NewTagger(protocol.EpochID{1})
		if err != nil {
			t.Fatal(err)
		}
		return p, keyholder.TaggerReadySize
	}
	anchors := func(ready []byte, from, to uint64) (stream []byte) {
		epoch, err := keyholder.ReadyEpoch(ready)
		if err != nil {
			t.Error(err)
		}
		for seq := from; seq < to; seq++ {
			p := payload(epoch, seq)
			stream = append(stream, encode(keyholder.NewFrame(seq, keyholder.ReqAnchor, p[:]))...)
		}
		return stream
	}
	checkpoint := func(ready []byte) []byte {
		tree := keyholder.NewFrame(1, keyholder.ReqTree)
		return append(encode(tree), encode(keyholder.NewFrame(2, keyholder.ReqCheckpoint))...)
	}
	for _, c := range []struct {
		name    string
		program func(*testing.T) (keyholder.Program, int)
		send    func(ready []byte) []byte // then the socket is closed
		spoil   bool
		want    error // of an end that is not the core's death
		gone    bool  // the core ends and reads no answer
	}{
		{"signer, socket closed", signer, func([]byte) []byte { return nil }, false, nil, false},
		{"signer, socket closed with anchors at work", signer, func(ready []byte) []byte { return anchors(ready, 1, 200) }, false, nil, false},
		{"signer, socket closed after a checkpoint", signer, checkpoint, false, nil, false},
		{"signer, own fault", signer, checkpoint, true, keyholder.ErrSelfCheck, false},
		{"signer, malformed frame", signer, func(ready []byte) []byte { return append(anchors(ready, 1, 20), 1) }, false, keyholder.ErrMalformed, false},
		{"signer, foreign payload", signer, func(ready []byte) []byte {
			return append(anchors(ready, 1, 20), encode(keyholder.NewFrame(20, keyholder.ReqAnchor, make([]byte, 256)))...)
		}, false, keyholder.ErrForeign, false},
		{"signer, core gone with anchors at work", signer, func(ready []byte) []byte { return anchors(ready, 1, 500) }, false, nil, true},
		{"tagger, socket closed", tagger, func([]byte) []byte { return nil }, false, nil, false},
		{"tagger, malformed frame", tagger, func([]byte) []byte { return []byte{1} }, false, keyholder.ErrMalformed, false},
		{"tagger, foreign payload", tagger, func([]byte) []byte {
			return encode(keyholder.NewFrame(1, keyholder.ReqIssue, make([]byte, 256)))
		}, false, keyholder.ErrForeign, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, size := c.program(t)
			core, theirs := socketpair(t)
			end := make(chan error, 1)
			go func() { end <- p.Run(theirs) }()
			ready := make([]byte, size)
			if _, err := io.ReadFull(core, ready); err != nil {
				t.Fatal(err)
			}
			if p.Clear() {
				t.Fatal("it is ready and has no key in its region")
			}
			if c.spoil {
				p.Spoil()
			}
			if _, err := core.Write(c.send(ready)); err != nil && !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
			var err error
			if c.gone {
				err = core.Close()
			} else {
				err = unix.Shutdown(int(core.Fd()), unix.SHUT_WR)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := <-end; !c.gone && !errors.Is(err, c.want) {
				t.Errorf("it ended with %v, want %v", err, c.want)
			}
			for range 1000 { // longer than a signature that was under way takes
				if !p.Clear() {
					t.Fatal("something is left in the region, or was written there after the end")
				}
			}
		})
	}
	t.Run("not even ready", func(t *testing.T) {
		t.Parallel()
		for _, program := range []func(*testing.T) (keyholder.Program, int){signer, tagger} {
			p, _ := program(t)
			core, theirs := socketpair(t)
			if err := core.Close(); err != nil {
				t.Fatal(err)
			}
			if err := p.Run(theirs); err == nil || !p.Clear() {
				t.Errorf("it ended with %v, and nothing is left: %v", err, p.Clear())
			}
		}
	})
}

// socketpair has deadlines at the core's end only.
func socketpair(t *testing.T) (core, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	core, theirs = os.NewFile(uintptr(fds[0]), "core"), os.NewFile(uintptr(fds[1]), "child")
	t.Cleanup(func() { _, _ = core.Close(), theirs.Close() })
	if err := core.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return core, theirs
}
