package secret

// Guards are the bytes right before and behind a region.
func (r *Region) Guards() (before, behind []byte) {
	n := len(r.mapping) - len(r.inner)
	return r.mapping[:n/2], r.mapping[len(r.mapping)-n/2:]
}

// All is the whole of a region.
func (r *Region) All() []byte { return r.inner }
