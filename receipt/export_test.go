package receipt

// SetMaxRecorded lowers the bound of a trust store.
func (t *TrustStore) SetMaxRecorded(n int) { t.maxRecorded = n }

// Path is the file of a log.
func (t *TrustStore) Path(origin string) string { return t.path(origin) }
