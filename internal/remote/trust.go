package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// OpenTrust opens the trust store in a directory, or for "" the user's own.
func OpenTrust(dir string) (*receipt.TrustStore, error) {
	if dir == "" {
		var err error
		if dir, err = receipt.DefaultTrustDir(); err != nil {
			return nil, fault.New(fault.Config, fmt.Sprintf("there is no place for the trust store: %v", err), "--trust DIR names one")
		}
	}
	t, err := receipt.OpenTrust(dir)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("the trust store in %s does not open: %v", dir, err), "--trust DIR names another one")
	}
	return t, nil
}

// KnownLists returns the member lists in a trust store, and those in the files.
func KnownLists(trust *receipt.TrustStore, paths []string) ([]*claim.List, error) {
	kept, err := trust.Lists()
	if receipt.VerdictOf(err) == receipt.Unavailable {
		return nil, VouchFailure(err, nil)
	}
	if err != nil {
		return nil, fault.New(fault.Config, err.Error(), "put the list back, or remove the file and name the list with --list")
	}
	named, err := memberlist.ReadAll(paths)
	return append(kept, named...), err
}

// ReadPolicy reads a policy file.
func ReadPolicy(path string) (*receipt.Policy, error) {
	return fsutil.ParseFile(path, 1<<20, receipt.ParsePolicy, fault.Config, "", "")
}

// Vouching says which checkpoint is recorded as believed on the user's word. Its fields
// are the flags of "td trust add".
type Vouching struct {
	Server, ServerUser string
	Trust              string
	Operator           string // file with a checkpoint of the operator; - for standard input
	Policy             string // policy file; neither this nor Operator means a live server
	Log                string // URL or directory that supplies proofs; "" means Server
}

// Vouched is what was recorded.
type Vouched struct {
	Origin string          `json:"origin"`
	Size   uint64          `json:"size"`
	Root   protocol.Digest `json:"root"`
	How    receipt.Vouch   `json:"how"`
	Server string          `json:"server"` // that was bound to the log; "" if none was
}

// Record records the checkpoint. The warnings of the trust store come with an error too.
func (v *Vouching) Record(ctx context.Context, stdin io.Reader) (done Vouched, warnings []string, err error) {
	store, err := OpenTrust(v.Trust)
	if err != nil {
		return done, nil, err
	}
	log, err := v.open()
	if err != nil {
		return done, nil, err
	}
	cp, err := v.checkpoint(ctx, log, stdin)
	if err != nil {
		return done, nil, log.Failure(ctx, err)
	}
	var from receipt.Source
	if v.how() == receipt.VouchLive {
		from = log.Source()
	}
	standing, err := store.Trust(ctx, cp, log, from, v.how(), time.Now())
	return Vouched{cp.Origin, cp.Size, cp.Root, v.how(), from.Server}, standing.Warnings, log.Failure(ctx, err)
}

// how is the way of vouching.
func (v *Vouching) how() receipt.Vouch {
	switch {
	case v.Operator != "":
		return receipt.VouchOperator
	case v.Policy != "":
		return receipt.VouchPolicy
	}
	return receipt.VouchLive
}

// open opens the log that is believed or supplies proofs.
func (v *Vouching) open() (*Log, error) {
	live := v.how() == receipt.VouchLive
	switch {
	case v.Log == "":
		return OpenServerLog(v.Server, v.ServerUser, live)
	case live:
		return nil, fault.New(fault.Usage, "--log supplies proofs only, so that nothing says whose log it is", "add --from-operator FILE or --policy FILE, or name a server with --server")
	}
	return OpenLog(v.Log, v.ServerUser)
}

// checkpoint returns the checkpoint to record, signed by an epoch of the log.
func (v *Vouching) checkpoint(ctx context.Context, log *Log, stdin io.Reader) (*receipt.Checkpoint, error) {
	switch v.how() {
	case receipt.VouchOperator:
		return operatorCheckpoint(ctx, v.Operator, stdin, log)
	case receipt.VouchPolicy:
		policy, err := ReadPolicy(v.Policy)
		if err != nil {
			return nil, err
		}
		cp, err := log.SignedCheckpoint(ctx)
		if err != nil {
			return nil, err
		}
		if err := policy.Check(cp); err != nil {
			return nil, fault.New(fault.Unvouched, err.Error(), "nothing was recorded; td log checkpoint shows the signatures")
		}
		return cp, nil
	}
	return log.SignedCheckpoint(ctx)
}

// operatorCheckpoint reads a checkpoint that the operator handed over, and verifies it
// with the log's proofs.
func operatorCheckpoint(ctx context.Context, name string, stdin io.Reader, log *Log) (*receipt.Checkpoint, error) {
	raw, err := fsutil.ReadInput(name, stdin, receipt.MaxLogSize)
	if err != nil {
		return nil, err
	}
	if name == "-" {
		name = "standard input"
	}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		return nil, fault.New(fault.Usage, name+" is not a checkpoint but JSON, as a receipt is", "the operator prints a checkpoint with td log checkpoint")
	}
	note, err := receipt.TidyCheckpoint(string(raw))
	if err != nil {
		return nil, fault.New(fault.Negative, fmt.Sprintf("%s is not a checkpoint: %v", name, err), "the operator prints one with td log checkpoint")
	}
	newest, err := log.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	origin, _, _ := strings.Cut(note, "\n")
	if other, _, _ := strings.Cut(string(newest), "\n"); other != origin {
		return nil, fault.New(fault.Negative, fmt.Sprintf("%s is of log %s, and the log that should prove it is %s", name, origin, protocol.Printable(other)), "--log URL or DIR names the log")
	}
	cp, err := log.VerifyCheckpoint(ctx, []byte(note))
	if errors.Is(err, client.ErrNotSigned) {
		return nil, fault.New(fault.Negative, fmt.Sprintf("the signature in %s does not fit its text: compare it with the original", name), "nothing was recorded")
	}
	return cp, err
}
