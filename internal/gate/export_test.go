package gate

// Waiting returns how many wait for a place for costly work.
func (g *Gate) Waiting() int { return g.Load().Issue + g.Load().Verify }
