package limit

import "time"

// AdmitClaim charges the quota of a claim alone, for a request that [Limits.Admit] has
// admitted before its claim was known. The cost is that of the class.
func (l *Limits) AdmitClaim(now time.Time, c Class, claim string) Decision {
	if claim == "" || c == Health || c >= classes {
		return Decision{OK: true}
	}
	r := l.rules.Load()
	p := passage{l: l, r: r, now: l.at(now), d: Decision{OK: true}, class: c, cost: r.Costs[c]}
	p.charge(Claim, l.keys, r.Claim, r.claim, l.name(Claim, claim))
	if !p.d.OK {
		l.refused[p.d.Scope].Add(1)
	}
	return p.d
}
