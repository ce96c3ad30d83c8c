package keyholder

// windowSize is how far behind the highest sequence number one may still be
// anchored (section 2).
const windowSize = 1 << 16

// window remembers which sequence numbers were answered: exactly those of the
// last windowSize; older ones count as answered. The zero value has seen none.
type window struct {
	highest uint64
	seen    [windowSize / 64]uint64 // bit seq % windowSize
}

// take reports whether seq is taken now for the first time. Zero never is.
func (w *window) take(seq uint64) bool {
	if seq == 0 || seq <= w.highest && w.highest-seq >= windowSize {
		return false
	}
	if seq > w.highest {
		w.advance(seq)
	}
	word, bit := seq%windowSize/64, uint64(1)<<(seq%64)
	if w.seen[word]&bit != 0 {
		return false
	}
	w.seen[word] |= bit
	return true
}

// advance moves the window up to seq and forgets what falls out of it.
func (w *window) advance(seq uint64) {
	if seq-w.highest >= windowSize {
		w.seen = [windowSize / 64]uint64{}
	} else {
		for s := w.highest + 1; s != seq+1; s++ {
			w.seen[s%windowSize/64] &^= 1 << (s % 64)
		}
	}
	w.highest = seq
}
