package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// auditFlags are the flags of "td log audit".
type auditFlags struct {
	*logFlags
	trust          *string
	lists          *[]string
	proofs, record *bool
	progress       *choice
	output         *choice
}

func logAuditCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check a whole log",
		Long: `Walks all entries and all tiles of a log, recomputes the root, and checks that the
checkpoint is signed by one of its epochs, that every leaf is well-formed and in
its place, and the rules of the log: what is accepted belongs to an open epoch and
to a claim that stands before it, under no freeze, and nothing is accepted twice.
With --proofs every accepted proof is verified too. A checkpoint recorded on this
machine is held against the log.

The digests of what an epoch issued are no part of the log's files; with a server
they are fetched, and each accepted request must be among them.

The exit code is 3 if anything is wrong; the first faults are shown.`,
		Example: "  td log audit\n  td log audit --proofs --dir ./data/ledger",
		Args:    noArgs,
	}
	fl := cmd.Flags()
	f := auditFlags{
		logFlags: addLogFlags(cmd), trust: trustFlag(cmd),
		proofs: fl.Bool("proofs", false, "verify every accepted proof"),
		record: fl.Bool("record", false, "record the checkpoint in the trust store if nothing is wrong"),
		lists:  fl.StringArray("list", nil, "member list file, for claims of group/1; may be given several times"),
	}
	f.progress, f.output = progressFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.audit(cmd.Context(), &f) }
	return cmd
}

// auditReport is what td log audit prints.
type auditReport struct {
	OK       bool            `json:"ok"`
	Origin   string          `json:"origin"`
	Size     uint64          `json:"size"`
	Root     protocol.Digest `json:"root"`
	Identity string          `json:"identity"` // pinned or self_asserted
	Leaves   map[string]int  `json:"leaves"`   // by type
	Proofs   int             `json:"proofs"`   // verified
	Unknown  int             `json:"unknown"`  // accepted under keys that this program does not know by itself
	Epochs   int             `json:"epochs"`   // whose issued digests were compared
	Faults   []string        `json:"faults"`
	Others   int             `json:"others,omitempty"` // faults not shown
}

// maxFaults bounds the faults that are shown.
const maxFaults = 20

func (r *auditReport) fault(format string, args ...any) {
	if len(r.Faults) == maxFaults {
		r.Others++
		return
	}
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (a *app) audit(ctx context.Context, f *auditFlags) error {
	files, err := f.open()
	if err != nil {
		return err
	}
	trust, err := openTrust(*f.trust)
	if err != nil {
		return err
	}
	lists, err := auditLists(trust, *f.lists)
	if err != nil {
		return err
	}
	au := newAudit(files, lists, *f.proofs)
	au.progress = newProgress(a.stderr, f.progress.value, "audit", time.Now())
	err = au.run(ctx)
	au.progress.finish()
	if err == nil {
		err = au.identify(ctx, trust)
	}
	if err == nil && *f.record && len(au.report.Faults) == 0 {
		err = pin(ctx, trust, au.checkpoint, files)
		au.report.Identity = receipt.Pinned
	}
	if err != nil {
		return files.failure(ctx, err)
	}
	return a.tellAudit(&au.report, f.output.value == "json")
}

// auditLists are the lists named and those in the trust store, by id.
func auditLists(trust *receipt.TrustStore, paths []string) (map[protocol.ListID]*claim.List, error) {
	kept, err := trust.Lists()
	if err != nil {
		return nil, fail(exitConfig, err.Error(), "")
	}
	named, err := readLists(paths)
	if err != nil {
		return nil, err
	}
	lists := map[protocol.ListID]*claim.List{}
	for _, l := range append(kept, named...) {
		lists[l.ID()] = l
	}
	return lists, nil
}

func (a *app) tellAudit(r *auditReport, asJSON bool) error {
	r.OK = len(r.Faults) == 0
	if r.Faults == nil {
		r.Faults = []string{}
	}
	if asJSON {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else if err := r.print(a.stdout); err != nil {
		return err
	}
	if r.OK {
		return nil
	}
	return fail(exitNegative, fmt.Sprintf("the log breaks its rules: %d faults", len(r.Faults)+r.Others), "keep a copy of it, and ask the operator")
}

func (r *auditReport) print(w io.Writer) error {
	for _, fault := range r.Faults {
		fmt.Fprintf(w, "FAULT  %s\n", fault)
	}
	if r.Others > 0 {
		fmt.Fprintf(w, "FAULT  and %d more\n", r.Others)
	}
	fmt.Fprintf(w, "log %s, size %d, root %s\nidentity %s\n", r.Origin, r.Size, r.Root, r.Identity)
	for t := protocol.LeafAccepted; t <= protocol.LeafIncident; t++ {
		fmt.Fprintf(w, "%-12s %d\n", t, r.Leaves[t.String()])
	}
	if r.Unknown > 0 {
		fmt.Fprintf(w, "%d are accepted under keys of member lists that are not here; --list names a list\n", r.Unknown)
	}
	_, err := fmt.Fprintf(w, "%s verified; %s compared with what was issued\n", numberOf(r.Proofs, "proof"), numberOf(r.Epochs, "epoch"))
	return err
}

// tree recomputes hashes and tiles of a log from its entries, in order
// (RFC 6962, C2SP tlog-tiles).
type tree struct {
	levels [][][32]byte // of tiles: hashes of the last tile of each level, not yet full
	counts []uint64     // full tiles of each level
	full   func(level int, n uint64, hashes [][32]byte) error
}

// add takes the hash of the next leaf, or of the next full tile below.
func (t *tree) add(level int, hash [32]byte) error {
	if level == len(t.levels) {
		t.levels, t.counts = append(t.levels, nil), append(t.counts, 0)
	}
	t.levels[level] = append(t.levels[level], hash)
	hashes := t.levels[level]
	if len(hashes) < bundleWidth {
		return nil
	}
	if err := t.full(level, t.counts[level], hashes); err != nil {
		return err
	}
	t.levels[level] = nil
	t.counts[level]++
	return t.add(level+1, rootOf(hashes))
}

// root is the root of everything added.
func (t *tree) root() [32]byte {
	var parts [][32]byte // complete subtrees from the left, that is from the top level
	for level := len(t.levels) - 1; level >= 0; level-- {
		hashes := t.levels[level]
		for n := bundleWidth; n > 0; n /= 2 {
			if len(hashes)&n != 0 {
				parts = append(parts, rootOf(hashes[:n]))
				hashes = hashes[n:]
			}
		}
	}
	if len(parts) == 0 {
		return sha256.Sum256(nil)
	}
	root := parts[len(parts)-1]
	for i := len(parts) - 2; i >= 0; i-- {
		root = nodeHash(parts[i], root)
	}
	return root
}

// rootOf is the root over a power of two of nodes of one level.
func rootOf(hashes [][32]byte) [32]byte {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return nodeHash(rootOf(hashes[:half]), rootOf(hashes[half:]))
}

func leafHash(leaf []byte) [32]byte { return sha256.Sum256(append([]byte{0}, leaf...)) }

func nodeHash(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// isUnknownLog reports that nothing recorded here speaks for or against a log.
func isUnknownLog(err error) bool {
	return errors.Is(err, receipt.ErrUnknownLog) || errors.Is(err, receipt.ErrNotShown)
}
