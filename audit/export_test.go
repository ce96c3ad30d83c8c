package audit

import "fmt"

// CheckRules returns the faults of leaves, without a checkpoint and tiles.
func CheckRules(origin string, leaves [][]byte) (faults []string) {
	r := newRules(origin, nil, func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) })
	for _, raw := range leaves {
		r.entry(raw)
	}
	return faults
}
