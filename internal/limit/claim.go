package limit

import "time"

// AdmitClaim charges the quota of a claim alone, for a request that [Limits.Admit] has
// admitted before its claim was known. The cost is that of the class.
func (l *Limits) AdmitClaim(now time.Time, c Class, claim string) Decision {
	r, d := l.rules.Load(), Decision{OK: true}
	if claim == "" || c == Health || c >= classes {
		return d
	}
	p := passage{l: l, r: r, now: l.at(now), d: &d, class: c, cost: r.Costs[c]}
	p.charge(Claim, l.keys, r.Claim, r.claim, l.name(Claim, claim))
	if !d.OK {
		l.refused[d.Scope].Add(1)
	}
	return d
}
