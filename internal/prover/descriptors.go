package prover

// Descriptors bounds the descriptors that a [Pool] with that many workers holds: one
// connection for each worker and one for health checks, and as many again while they
// are created.
func Descriptors(workers int) int { return 2 * (workers + 2) }
