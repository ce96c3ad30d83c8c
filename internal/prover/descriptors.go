package prover

// Descriptors bounds the descriptors that a [Pool] of so many workers holds: a
// connection for each worker and for the question how it is, twice while they
// are made and handed over.
func Descriptors(workers int) int { return 2 * (workers + 2) }
