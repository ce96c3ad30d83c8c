package bench

import (
	"context"
	"math/bits"
	"runtime"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// proving measures what a proof of each claim costs this process.
func (b *run) proving(ctx context.Context) ([]Budget, error) {
	p := b.progress("one prover, claim by claim", len(claim.IDs())*b.Proofs)
	defer p.Finish()
	figures := map[string]float64{}
	for _, id := range claim.IDs() {
		s, a, err := b.statement(id)
		if err == nil {
			err = b.proveSome(ctx, p, figures, s, a)
		}
		if err != nil {
			return nil, err
		}
	}
	return []Budget{Budget{
		Name: "open_domain", Bound: atMost, Limit: 1024, Unit: "rows",
		How:     "domain of open/1; the figures are gates and the cost of one proof of each claim, alone on the machine",
		Figures: figures,
	}.judge(domain(figures["gates_open/1"]))}, nil
}

// domain returns the least power of two that is not below a number of gates.
func domain(gates float64) float64 { return float64(uint64(1) << bits.Len64(uint64(gates)-1)) }

// statement is that of the example of a claim.
func (b *run) statement(id claim.ID) (*claim.Statement, *claim.Assignment, error) {
	if id == claim.Group {
		return b.memberStatement()
	}
	example := claim.Describe(id)
	p, err := claim.Prepare(id, []byte(example.Params), []byte(example.Event))
	if err != nil {
		return nil, nil, err
	}
	cm, a, err := claim.Commit(p.Params(), p.Event(), claim.NewBlind())
	if err != nil {
		return nil, nil, err
	}
	s, err := claim.NewStatement(p.Params(), cm)
	return s, a, err
}

// memberStatement is one of group/1, over a list of one member.
func (b *run) memberStatement() (*claim.Statement, *claim.Assignment, error) {
	secret := claim.NewMemberSecret()
	list, err := claim.NewList("bench", []protocol.Member{secret.Member()})
	if err != nil {
		return nil, nil, err
	}
	if err := b.prover.AddList(list); err != nil {
		return nil, nil, err
	}
	raw, err := claim.GroupParams(list, "bench", secret)
	if err != nil {
		return nil, nil, err
	}
	p, err := claim.ParseParams(claim.Group, raw)
	if err != nil {
		return nil, nil, err
	}
	cm, a, err := claim.CommitMember(p, []byte(`{"vote":"yes"}`), claim.NewBlind(), list, secret)
	if err != nil {
		return nil, nil, err
	}
	s, err := claim.NewStatement(p, cm)
	return s, a, err
}

// proveSome proves one statement several times and notes gates and cost.
func (b *run) proveSome(ctx context.Context, p *termui.Progress, figures map[string]float64, s *claim.Statement, a *claim.Assignment) error {
	x := s.Inputs(protocol.Anchor{}, protocol.Element{}, protocol.Element{})
	runtime.GC()
	used, took, err := thisProcess().spent(func() error {
		for range b.Proofs {
			if _, err := b.prover.Prove(ctx, s, x, a); err != nil {
				return err
			}
			p.Step(time.Now())
		}
		return nil
	})
	id := s.Claim().String()
	figures["gates_"+id] = float64(claim.Gates(s.Claim()))
	figures["cpu_ms_"+id] = millis(used) / float64(b.Proofs)
	figures["wall_ms_"+id] = millis(took) / float64(b.Proofs)
	return err
}
