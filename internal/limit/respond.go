package limit

// penalties are those of the automatic response.
type penalties struct{}

func (p *passage) penal() bool                  { return true }
func (p *passage) penalise(d Decision) Decision { return d }
func (p *passage) multiplier(Scope) int64       { return 1 }
