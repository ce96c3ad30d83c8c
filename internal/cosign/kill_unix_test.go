//go:build unix

package cosign_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/receipt"
)

// killedState names the state of a cosigner that kills itself instead of signing. The
// request is on standard input.
const killedState = "COSIGNER_KILLED_BEFORE_SIGNING"

// killer is a signer that ends its process as kill -9 does.
type killer struct{}

func (killer) Sign(*receipt.Checkpoint) (string, error) {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// TestKilledBeforeSigning: a cosigner that is killed between its compare-and-set and its
// answer remembers the checkpoint. It signs the same one when asked again, and no fork.
func TestKilledBeforeSigning(t *testing.T) {
	if path := os.Getenv(killedState); path != "" {
		t.Fatal(runKilled(t, path))
	}
	w := newWorld(t, cosign.Live)
	path := w.begin(300)
	f := fork(w.log, 300, 450)
	grow(w.log, 400)
	r := addcheckpoint.Request{Old: 300, Proof: proof(t, w.log, 300, 400), Note: w.log.Note(400, w.epoch)}

	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledBeforeSigning$")
	cmd.Env = append(os.Environ(), killedState+"="+path)
	in, err := cmd.StdinPipe()
	w.must(err)
	w.must(cmd.Start())
	_, err = in.Write(r.Encode())
	w.must(errors.Join(err, in.Close()))
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process was not killed: %v", err)
	}

	if w.head() != head(w.log, 400, w.epoch) {
		t.Fatalf("the head is of size %d", w.head().Size)
	}
	var size *cosign.SizeError
	if _, err := w.add(addcheckpoint.Request{Old: 300, Proof: proof(t, f, 300, 450), Note: f.Note(450, w.epoch)}); !errors.As(err, &size) || size.Size != 400 {
		t.Errorf("a fork of what was not answered: %v", err)
	}
	if _, err := w.submit(f, 450, w.epoch); !errors.Is(err, cosign.ErrProof) {
		t.Errorf("a fork of what was not answered: %v", err)
	}
	if lines, err := w.add(addcheckpoint.Request{Old: 400, Note: r.Note}); err != nil || lines == "" {
		t.Errorf("the same checkpoint again: %v", err)
	}
}

// runKilled is the program of the process that is killed.
func runKilled(t *testing.T, path string) error {
	t.Helper()
	body, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	r, err := addcheckpoint.ParseRequest(body)
	if err != nil {
		return err
	}
	lines, err := cosign.New(cosign.Config{Store: openStore(t, path), Signer: killer{}}).Add(t.Context(), r, now)
	return fmt.Errorf("it lives, with %q: %w", lines, err)
}
