package lifecycle

// removedGuards is set by the copy of Step that has switches, see TestGuards.
var removedGuards *uint32

// RemovedGuards points at the set of removed guards, nil where there are no switches.
func RemovedGuards() *uint32 { return removedGuards }
