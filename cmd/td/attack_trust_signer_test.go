package main_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/terradourada/td/protocol"
)

// Requests and answers of a signer as section 2 lists them, on the wire of
// internal/keyholder: a core that is not itself writes frames of its own.
const (
	askStart      = 1
	askCheckpoint = 3
	askHandover   = 4
	askWipe       = 5
	askIssuedRoot = 6
	askTree       = 7
	askLeaves     = 8

	saysDone    = 1
	saysRefused = 2
	saysRoot    = 4

	frameHeader = 16
	askSize     = frameHeader + protocol.PayloadSize + 32
	saySize     = frameHeader + 8 + 32 + 64
)

// bareSigner is a signer process at the other end of a socket.
type bareSigner struct {
	a      *attack
	sock   net.Conn
	origin string
	key    ed25519.PublicKey
	n      uint64
}

func (a *attack) bareSigner() *bareSigner {
	a.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	a.must(err)
	mine, theirs := os.NewFile(uintptr(fds[0]), "core"), os.NewFile(uintptr(fds[1]), "child")
	defer mine.Close()
	defer theirs.Close()
	sock, err := net.FileConn(mine)
	a.must(err)
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"td", "internal-signer", "0"}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{theirs}}
	a.must(cmd.Start())
	a.Cleanup(func() {
		_ = sock.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	b := &bareSigner{a: a, sock: sock, origin: "terradourada/0123456789abcdef"}
	start := make([]byte, 1+255+8+16+4) // origin, number, instance, user
	start[0] = byte(copy(start[1:], b.origin))
	binary.BigEndian.PutUint64(start[256:], 1)
	b.write(0, askStart, start)
	a.must(sock.SetReadDeadline(time.Now().Add(20 * time.Second)))
	ready := make([]byte, 8+16+protocol.MLDSAPublicKeySize+32)
	_, err = io.ReadFull(sock, ready)
	a.must(err)
	b.key = ready[len(ready)-32:]
	// What follows is its posture, of a size that is its own business.
	a.must(sock.SetReadDeadline(time.Now().Add(200 * time.Millisecond)))
	if _, err := io.Copy(io.Discard, sock); !errors.Is(err, os.ErrDeadlineExceeded) {
		a.Fatalf("the signer ended: %v", err)
	}
	return b
}

func (b *bareSigner) write(id uint64, code byte, body []byte) {
	b.a.Helper()
	f := make([]byte, askSize)
	binary.BigEndian.PutUint64(f, id)
	f[8] = code
	copy(f[frameHeader:], body)
	_, err := b.sock.Write(f)
	b.a.must(err)
}

// ask sends a request; the answer is 0 if the signer is gone.
func (b *bareSigner) ask(code byte, body []byte) (answer byte, root protocol.SignedRoot) {
	b.a.Helper()
	b.n++
	f := make([]byte, askSize)
	binary.BigEndian.PutUint64(f, b.n)
	f[8] = code
	copy(f[frameHeader:], body)
	if _, err := b.sock.Write(f); err != nil {
		return 0, root
	}
	b.a.must(b.sock.SetReadDeadline(time.Now().Add(10 * time.Second)))
	say := make([]byte, saySize)
	if _, err := io.ReadFull(b.sock, say); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			b.a.Errorf("no answer to request %d", code)
		}
		return 0, root
	}
	body = say[frameHeader:]
	root.Size = binary.BigEndian.Uint64(body)
	copy(root.Root[:], body[8:])
	copy(root.Signature[:], body[40:])
	return say[8], root
}

// tree sends it a log that it has not seen, leaves what comes next.
func (b *bareSigner) tree(hashes ...protocol.Digest) byte {
	var r protocol.Range
	for _, h := range hashes {
		r.Append(h)
	}
	body := binary.BigEndian.AppendUint64(nil, r.Size())
	body = append(body, 0)
	for _, h := range r.Nodes() {
		body = append(body, h[:]...)
	}
	answer, _ := b.ask(askTree, body)
	return answer
}

func (b *bareSigner) leaves(hashes ...protocol.Digest) byte {
	body := []byte{byte(len(hashes))}
	for _, h := range hashes {
		body = append(body, h[:]...)
	}
	answer, _ := b.ask(askLeaves, body)
	return answer
}

// signed reports whether an answer is a checkpoint of a tree.
func (b *bareSigner) signed(answer byte, root protocol.SignedRoot, hashes ...protocol.Digest) bool {
	want := hashRoot(hashes)
	text := fmt.Sprintf("%s\n%d\n%s\n", b.origin, len(hashes), base64.StdEncoding.EncodeToString(want[:]))
	return answer == saysRoot && ed25519.Verify(b.key, []byte(text), root.Signature[:])
}

// attackSigner asks a signer process for two histories.
func (s *siege) attackSigner() {
	one, two, three, other := protocol.Digest{1}, protocol.Digest{2}, protocol.Digest{3}, protocol.Digest{9}
	for _, tt := range []struct {
		name string
		ask  func(b *bareSigner)
	}{
		{"another tree", func(b *bareSigner) { b.tree(one, other) }},
		{"a longer tree", func(b *bareSigner) { b.tree(one, other, three) }},
		{"no tree", func(b *bareSigner) { b.tree() }},
		{"the part of a tree", func(b *bareSigner) {
			b.ask(askTree, append(binary.BigEndian.AppendUint64(nil, 7), 1))
			b.leaves(other)
		}},
		{"another tree after the wipe", func(b *bareSigner) {
			b.ask(askWipe, nil)
			b.tree(one, other)
		}},
		{"another tree after the hand-over", func(b *bareSigner) {
			b.ask(askWipe, nil)
			b.ask(askIssuedRoot, nil)
			next := append(make([]byte, 15), 1)
			b.ask(askHandover, append(binary.BigEndian.AppendUint64(next, 2), make([]byte, 32)...))
			b.tree(one, other)
		}},
		{"a hand-over before the wipe", func(b *bareSigner) {
			next := append(make([]byte, 15), 1)
			if answer, _ := b.ask(askHandover, append(binary.BigEndian.AppendUint64(next, 2), make([]byte, 32)...)); answer == saysRoot {
				b.a.Error("it handed over while it could still anchor")
			}
			b.tree(one, other)
		}},
		{"more leaves than a frame holds", func(b *bareSigner) { b.ask(askLeaves, append([]byte{255}, other[:]...)) }},
	} {
		s.attack("a signer asked for two histories: "+tt.name, func(a *attack) {
			b := a.bareSigner()
			if b.tree(one) != saysDone || b.leaves(two) != saysDone {
				a.Fatal("the signer does not take a log")
			}
			if answer, root := b.ask(askCheckpoint, nil); !b.signed(answer, root, one, two) {
				a.Fatal("the signer does not sign the log it was sent")
			}
			tt.ask(b)
			b.leaves(three)
			answer, root := b.ask(askCheckpoint, nil)
			switch {
			case answer == 0:
				a.note("signer", "ended")
			case answer == saysRefused:
				a.note("signer", "refused")
			case b.signed(answer, root, one, two, three):
				a.note("signer", "signed the one history")
			default:
				a.note("signer", "signed another history")
				a.Errorf("it signed the tree of %d leaves with root %s", root.Size, root.Root)
			}
		})
	}
}
