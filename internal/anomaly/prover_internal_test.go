package anomaly

import (
	"fmt"
	"testing"
	"time"
)

// TestProversComeAndGo: the provers of a claim are those that are known, and a state stays
// sound after more of them than there is room for.
func TestProversComeAndGo(t *testing.T) {
	t.Parallel()
	p, at := NewProvers(), requestAt
	for round := range 3 {
		for i := range maxProvers {
			key := proverKey{fmt.Sprintf("client:c%d-%d", round, i), "open/1"}
			one := p.of(key, at)
			one.n = warmAnswers
			p.took(one, key, at, time.Second)
		}
		if n := p.claims["open/1"].provers; n != maxProvers {
			t.Errorf("%d provers of a claim, %d are known", n, len(p.all))
		}
		if err := NewProvers().Restore(p.Save()); err != nil {
			t.Error(err)
		}
		p.Relearn(fmt.Sprintf("client:c%d-7", round))
		if n := p.claims["open/1"].provers; n != maxProvers-1 {
			t.Errorf("%d provers of a claim after one was forgotten", n)
		}
		at = at.Add(2 * silentFor)
		p.Tick(at, true)
		if n := p.claims["open/1"].provers; n != 0 {
			t.Errorf("%d provers of a claim, none is known", n)
		}
	}
}
