package ligero_test

import (
	"slices"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// changes are what can be done to a system; some leave its canonical form.
var changes = map[string]struct {
	change    func(*ligero.System)
	canonical bool
}{
	"another factor":           {func(s *ligero.System) { s.Linear[3].Factor = s.Linear[3].Factor.Add(field.New(5)) }, true},
	"another quadratic factor": {func(s *ligero.System) { s.Quadratic[3].Factor = field.New(5) }, true},
	"another constant":         {func(s *ligero.System) { s.Constant[0].Factor = field.New(5) }, true},
	"a linear term less":       {func(s *ligero.System) { s.Linear = s.Linear[1:] }, true},
	"a quadratic term less":    {func(s *ligero.System) { s.Quadratic = s.Quadratic[1:] }, true},
	"a constant less":          {func(s *ligero.System) { s.Constant = s.Constant[1:] }, true},
	"a public value more":      {func(s *ligero.System) { s.Publics++ }, true},
	"a row more":               {func(s *ligero.System) { s.Rows++ }, true},
	"an equation more":         {func(s *ligero.System) { s.Equations++ }, true},
	"another product":          {func(s *ligero.System) { s.Products[0] = [2]int{0, 0}; s.Products[1] = [2]int{2, 2} }, true},
	"factor 0":                 {func(s *ligero.System) { s.Linear[3].Factor = field.Element{} }, false},
	"a term twice":             {func(s *ligero.System) { s.Linear = slices.Insert(s.Linear, 1, s.Linear[0]) }, false},
	"terms in another order":   {func(s *ligero.System) { slices.Reverse(s.Linear) }, false},
	"a place too far":          {func(s *ligero.System) { s.Linear[2].At = 12 }, false},
	"a product too far":        {func(s *ligero.System) { s.Quadratic[1].At = 8 }, false},
	"a public value too far":   {func(s *ligero.System) { s.Constant[1].At = 4 }, false},
	"an equation too far":      {func(s *ligero.System) { s.Linear[len(s.Linear)-1].Equation = 12 }, false},
	"a product of row 3":       {func(s *ligero.System) { s.Products[1][1] = 3 }, false},
	"a product of row -1":      {func(s *ligero.System) { s.Products[0][0] = -1 }, false},
	"a product twice":          {func(s *ligero.System) { s.Products[1] = s.Products[0] }, false},
	"a product turned":         {func(s *ligero.System) { s.Products = [][2]int{{1, 0}, {2, 2}} }, false},
	"no rows":                  {func(s *ligero.System) { s.Rows = 0 }, false},
	"too many rows":            {func(s *ligero.System) { s.Rows = 1<<12 + 1 }, false},
	"no equations":             {func(s *ligero.System) { s.Equations = 0 }, false},
	"too many equations":       {func(s *ligero.System) { s.Equations = 1<<24 + 1 }, false},
	"negative publics":         {func(s *ligero.System) { s.Publics = -1 }, false},
	"too many publics":         {func(s *ligero.System) { s.Publics = 1<<16 + 1 }, false},
	"another number of slots":  {func(s *ligero.System) { s.Slots = 8 }, false},
}

// TestSystems: what is not in the one form is refused, and every other change is
// another circuit, for which an old proof is refused.
func TestSystems(t *testing.T) {
	s := newSample(3, small.Slots, 3, 2, 12)
	proof := prove(t, scheme(t, s, small), s)
	for name, c := range changes {
		changed := newSample(3, small.Slots, 3, 2, 12)
		c.change(changed.system)
		sch, err := ligero.NewUnchecked(changed.system, small)
		if (err == nil) != c.canonical {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if changed.system.Digest() == s.system.Digest() {
			t.Errorf("%s: the digest is the same", name)
		}
		public := slices.Clone(s.public)
		for len(public) < changed.system.Publics {
			public = append(public, field.Element{})
		}
		if sch.Verify(proof, public) == nil {
			t.Errorf("%s: the old proof is accepted", name)
		}
	}
}

// TestOtherParameters: a proof is refused under every other set of parameters.
func TestOtherParameters(t *testing.T) {
	s := newSample(4, small.Slots, 3, 2, 12)
	proof := prove(t, scheme(t, s, small), s)
	for _, p := range []ligero.Params{
		{Slots: 4, Length: 128, Queries: 6, Components: 2},
		{Slots: 4, Length: 64, Queries: 5, Components: 2},
		{Slots: 4, Length: 64, Queries: 7, Components: 2},
		{Slots: 4, Length: 64, Queries: 6, Components: 1},
		{Slots: 4, Length: 64, Queries: 6, Components: 3},
	} {
		if scheme(t, s, p).Verify(proof, s.public) == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
}
