package bench

import (
	"context"
	"net/http"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// issue starts a server with nothing configured, fills it with pending
// sessions and measures start, issue and memory.
func (b *run) issue(ctx context.Context) ([]Budget, error) {
	s, err := b.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	idle, err := s.memories()
	if err != nil {
		return nil, err
	}
	cost, err := b.issueCost(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	full, err := s.memories()
	if err != nil {
		return nil, err
	}
	ready := Budget{
		Name: "ready", Bound: atMost, Limit: 3, Unit: "s",
		How: "from the start of td serve, with nothing configured, to its ready line",
	}.judge(s.took.Seconds())
	tree, err := b.treeOfIssue(cost.Figures["cpu_us"])
	if err != nil {
		return nil, err
	}
	instruments, err := b.instruments(ctx, cost.Figures["cpu_us"])
	if err != nil {
		return nil, err
	}
	return append([]Budget{ready, cost, tree, instruments}, b.memoryBudgets(idle, full)...), s.Stop()
}

// turn is how many challenges are issued between two measurements of the bare
// signature: few, so that the machine is the same for both, and enough that the
// server's start and end of work count for little.
const turn = 1000

// issueCost opens sessions over HTTP in turns with bare signatures.
func (b *run) issueCost(ctx context.Context, s *server) (Budget, error) {
	p := b.progress("issuing challenges", b.Sessions)
	defer p.Finish()
	load := newLoader(s.address(), inFlight)
	defer load.close()
	var c comparison
	before, err := s.shares()
	if err != nil {
		return Budget{}, err
	}
	for range b.Sessions / turn {
		bodies, err := openBodies(turn)
		if err != nil {
			return Budget{}, err
		}
		raw := work{thisProcess(), func() error { return b.sign(turn) }}
		err = c.take(turn, raw, work{s.tree, func() error {
			return load.post(ctx, p, "/v1/challenges", http.StatusCreated, bodies)
		}})
		if err != nil {
			return Budget{}, err
		}
	}
	after, err := s.shares()
	if err != nil {
		return Budget{}, err
	}
	figures := c.figures()
	for kind, used := range after {
		figures[kind+"_cpu_us"] = micros(used-before[kind], c.operations)
	}
	return Budget{
		Name: "issue", Bound: atMost, Limit: 1.68, Unit: "x raw",
		How:     "processor time of core, signer and tagger for a challenge over HTTP, 64 in flight, over a bare ML-DSA-65 sign and verify; the aim is 1.25",
		Figures: figures,
	}.judge(c.ratio()), nil
}

// shares returns the processor time of each of the server's processes.
func (s *server) shares() (map[string]time.Duration, error) {
	shares := map[string]time.Duration{}
	core, err := cpuOf(s.tree[0])
	if err != nil {
		return nil, err
	}
	shares["core"] = core
	for _, kind := range []string{"signer", "tagger"} {
		pid, err := s.tree.started("internal-" + kind)
		if err != nil {
			return nil, err
		}
		if shares[kind], err = cpuOf(pid); err != nil {
			return nil, err
		}
	}
	return shares, nil
}

// openRequest returns a request with a commitment to a random number.
func openRequest() api.ChallengeRequest {
	return api.ChallengeRequest{
		Claim: claim.Open.String(), Params: []byte(`{}`), Commitment: protocol.Commitment(claim.NewBlind()), TTLMillis: protocol.MaxTTL,
	}
}

// memories are the core's and the tagger's.
type memories struct{ core, tagger memory }

func (s *server) memories() (m memories, err error) {
	if m.core, err = memoryOf(s.tree[0]); err != nil {
		return m, err
	}
	pid, err := s.tree.started("internal-tagger")
	if err != nil {
		return m, err
	}
	m.tagger, err = memoryOf(pid)
	return m, err
}

func (b *run) memoryBudgets(idle, full memories) []Budget {
	share := float64(b.Sessions) / fullSessions
	fixed := 48 * (1 - share) // buffers and garbage, which do not scale
	return []Budget{
		Budget{
			Name: "memory_idle", Bound: atMost, Limit: 120, Unit: "MiB",
			How:     "resident memory of a core with no session",
			Figures: map[string]float64{"own_mib": idle.core.own},
		}.judge(idle.core.resident),
		Budget{
			Name: "memory_core", Bound: atMost, Limit: 128*share + fixed, Unit: "MiB",
			How: "growth of the core's own memory with pending sessions; 128 MiB for 100,000, scaled for fewer",
			Figures: map[string]float64{
				"sessions": float64(b.Sessions), "scale": share,
				"idle_own_mib": idle.core.own, "own_mib": full.core.own, "idle_resident_mib": idle.core.resident, "resident_mib": full.core.resident,
			},
		}.judge(full.core.own - idle.core.own),
		Budget{
			Name: "memory_tagger", Bound: atMost, Limit: 32*share + fixed/12, Unit: "MiB",
			How: "growth of the tagger's own memory with them; 32 MiB for 100,000, scaled for fewer",
			Figures: map[string]float64{
				"sessions": float64(b.Sessions), "scale": share,
				"idle_own_mib": idle.tagger.own, "own_mib": full.tagger.own, "idle_resident_mib": idle.tagger.resident, "resident_mib": full.tagger.resident,
			},
		}.judge(full.tagger.own - idle.tagger.own),
	}
}
