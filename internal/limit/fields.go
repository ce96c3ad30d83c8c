package limit

import (
	"fmt"
	"time"
)

// Fields returns the RateLimit-Policy and RateLimit fields of a decision, in the form of
// draft-ietf-httpapi-ratelimit-headers-10. They are "" if the decision is about no quota.
//
// Send them to a client without an API key only with a refusal: otherwise it could measure
// the traffic of others that share its address.
func Fields(d Decision) (policy, limit string) {
	if d.Quota.N == 0 {
		return "", ""
	}
	window := time.Duration(float64(d.Quota.Per) / float64(d.Quota.N) * float64(d.Quota.Burst))
	policy = fmt.Sprintf("%q;q=%d;w=%d", d.Scope.String(), d.Quota.Burst, Seconds(window))
	limit = fmt.Sprintf("%q;r=%d;t=%d", d.Scope.String(), d.Left, Seconds(d.Reset))
	return policy, limit
}

// Seconds rounds up to whole seconds, as Retry-After has them.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
