package telemetry

// MeaningOf returns what a cause means, in words.
func MeaningOf(c Cause) string { return causes[c].meaning }
