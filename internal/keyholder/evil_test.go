package keyholder_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// Arguments that make the test binary a child that lies, a core, and a debugger.
const (
	evilArgument   = "evil"
	coreArgument   = "core"
	tracerArgument = "tracer"
)

func evilAnswers() []string {
	return []string{"garbage", "half a frame", "no request", "twice", "other code", "no element", "exit later"}
}

func evilConfig(how string) keyholder.Config {
	return keyholder.Config{Starter: evilStarter(how)}
}

// evilStarter starts children that lie.
func evilStarter(how string) keyholder.Starter {
	args := []string{evilArgument, how}
	return process.Direct{Programs: map[string][]string{"signer": args, "tagger": args}}
}

// evil is a child that answers the start and then the first request in a way no
// sound child does.
func evil(how string) {
	sock := os.NewFile(3, "core")
	start := make([]byte, keyholder.SignerRequestSize)
	if _, err := io.ReadFull(sock, start); err != nil {
		return
	}
	ready := keyholder.FakeSignerReady(fakeEpoch, newFakeTree().public())
	switch how {
	case "exit":
		return
	case "core is fine":
		ready = keyholder.FakeSignerReady(fakeEpoch, newFakeTree().public(), sandbox.Measure(sandbox.Core, sandbox.StateOK, "fine"))
	case "silent":
		ready = nil
	case "short ready":
		ready = ready[:len(ready)-1]
	case "wrong ready":
		ready[0] ^= 1
	case "no epoch":
		ready = keyholder.FakeSignerReady(protocol.EpochID{}, [32]byte{})
	case "swap", "no number": // a tagger: constant, epoch id and number
		ready = append([]byte("TDTAGGR1"), start[16:16+24]...)
		ready = append(ready, make([]byte, keyholder.PostureSize)...)
	}
	_, _ = sock.Write(ready)
	if lie, ok := strings.CutPrefix(how, issuingPrefix); ok {
		issuing(sock, lie)
		return
	}
	request := make([]byte, keyholder.SignerRequestSize)
	if _, err := io.ReadFull(sock, request); err != nil {
		return
	}
	if how == "forbidden call" {
		_, _ = sandbox.Enter(sandbox.Config{Profile: sandbox.Keyholder})
		_, _ = unix.Getsid(0)
	}
	_, _ = sock.Write(evilAnswer(how, request))
	if how == "exit later" || how == "half a frame" {
		return
	}
	_, _ = io.Copy(io.Discard, sock) // until the core closes or kills
}

func evilAnswer(how string, request []byte) []byte {
	signer, tagger := keyholder.Shapes()[2], keyholder.Shapes()[3]
	anchor := keyholder.NewFrame(1, keyholder.AnsAnchor, make([]byte, 32))
	switch how {
	case "garbage":
		return make([]byte, keyholder.SignerAnswerSize)
	case "half a frame":
		return signer.Append(nil, &anchor)[:40]
	case "no request":
		other := keyholder.NewFrame(2, keyholder.AnsAnchor, make([]byte, 32))
		return signer.Append(nil, &other)
	case "twice":
		refused := keyholder.NewFrame(1, keyholder.AnsRefused)
		return signer.Append(signer.Append(nil, &refused), &refused)
	case "other code":
		done := keyholder.NewFrame(1, keyholder.AnsDone)
		return signer.Append(nil, &done)
	case "no element":
		bad := keyholder.NewFrame(1, keyholder.AnsAnchor, []byte{
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		})
		return signer.Append(nil, &bad)
	case "swap":
		other := payload(protocol.EpochID{9}, 1)
		issued := keyholder.NewFrame(1, keyholder.AnsIssued, other[:], make([]byte, 32))
		return tagger.Append(nil, &issued)
	case "no number":
		issued := keyholder.NewFrame(1, keyholder.AnsIssued, request[16:16+256], make([]byte, 32))
		return tagger.Append(nil, &issued)
	default:
		return nil
	}
}

// core starts a signer and a tagger, prints their process ids and waits to be
// killed.
func core() {
	ctx := context.Background()
	s, err := keyholder.StartSigner(ctx, keyholder.Config{}, keyholder.SignerStart{Origin: origin, Number: 7})
	if err != nil {
		return
	}
	t, err := keyholder.StartTagger(ctx, keyholder.Config{}, s.EpochID(), 7)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(os.Stdout, "%d\n%d\n", s.Pid(), t.Pid())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startCore runs core in another process, kills it, and returns the ids of the
// children it had.
func startCore(t *testing.T) (pids [2]int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", coreArgument)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(bufio.NewReader(out), &pids[0], &pids[1]); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, as intended
	return pids
}
