package receipt

// SetMaxRecorded lowers the bound of a trust store.
func (t *TrustStore) SetMaxRecorded(n int) { t.maxRecorded = n }

// Cached returns how many logs the store has in memory.
func (t *TrustStore) Cached() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.files)
}

// Path is the file of a log.
func (t *TrustStore) Path(origin string) string { return t.path(origin) }

// PrefixRoots computes both roots of a prefix proof.
func PrefixRoots(hashes [][32]byte, first, size uint64) (prefix, whole [32]byte, ok bool) {
	return prefixRoots(hashes, first, size)
}
