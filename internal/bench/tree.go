package bench

import (
	"context"
	"os"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// treeShare is what the issued tree may add to an issue and to an accepted
// answer, as a share of its processor time.
const treeShare = 0.03

// treeOfIssue measures what both copies of the issued tree add to an issue that
// costs so many microseconds.
func (b *run) treeOfIssue(issue float64) (Budget, error) {
	used, _, err := thisProcess().spent(func() error { return keyholder.TreeBaseline(b.Sessions) })
	tree := micros(used, b.Sessions)
	return Budget{
		Name: "tree_issue", Bound: atMost, Limit: treeShare, Unit: "of issue",
		How:     "processor time of the issued tree, at both ends of the socket, over that of a challenge over HTTP",
		Figures: map[string]float64{"tree_us": tree, "issue_us": issue, "operations": float64(b.Sessions)},
	}.judge(tree / issue), err
}

// treeOfAccept measures what the issued tree adds to an accepted answer that
// costs so many microseconds, in the worst case: a signed root for it alone. The
// log of the server shows how many answers a root has served there.
func (b *run) treeOfAccept(ctx context.Context, server *server, accept float64) (Budget, error) {
	root, place, err := b.rootCost(ctx)
	if err != nil {
		return Budget{}, err
	}
	answers, roots, err := countRoots(ctx, server)
	if err != nil {
		return Budget{}, err
	}
	return Budget{
		Name: "tree_accept", Bound: atMost, Limit: treeShare, Unit: "of accept",
		How: "processor time of core and signer for an inclusion path and a signed root of the issued tree for one answer alone, over that of an accepted answer over HTTP",
		Figures: map[string]float64{
			"root_us": root, "path_us": place, "accept_us": accept, "answers": answers, "roots": roots,
			"shared": (place + root*roots/answers) / accept,
		},
	}.judge((root + place) / accept), nil
}

// rootCost returns the processor time of one signed root, core and signer together,
// and of one inclusion path under a root that is held.
func (b *run) rootCost(ctx context.Context) (root, path float64, err error) {
	s, err := startSigner(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	both, err := processesOf(os.Getpid())
	if err != nil {
		return 0, 0, err
	}
	for seq := range uint64(turn) {
		payload := newPayload(s.EpochID(), seq+1)
		if _, _, err := s.Anchor(ctx, &payload); err != nil {
			return 0, 0, err
		}
	}
	used, _, err := both.spent(func() error {
		for range turn {
			if _, err := s.IssuedRoot(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	root = micros(used, turn)
	used, _, err = both.spent(func() error {
		for position := range uint64(turn) {
			if _, err := s.Issued(ctx, position); err != nil {
				return err
			}
		}
		return nil
	})
	return root, micros(used, turn), err
}

// countRoots counts the accepted answers in the server's log and the signed roots
// that show them.
func countRoots(ctx context.Context, server *server) (answers, roots float64, err error) {
	log := client.NewLog(server.client)
	size, err := log.Size(ctx)
	if err != nil {
		return 0, 0, err
	}
	seen := map[[64]byte]bool{}
	err = log.Leaves(ctx, size, func(_ uint64, raw []byte) error {
		leaf, err := protocol.ParseLeaf(raw)
		if err != nil {
			return err
		}
		if body, ok := leaf.Body.(*protocol.Accepted); ok {
			answers++
			seen[body.Issued.Signature] = true
		}
		return nil
	})
	return answers, float64(len(seen)), err
}
