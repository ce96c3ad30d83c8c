package limit

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Pacer paces new challenges to what can be verified. Each challenge can buy one
// verification, so the number of verifications follows that of challenges, and no proof
// has to be turned away for lack of capacity. The capacity is measured: it is the number
// of places over the mean time for which a challenge and a verification hold one.
//
// A challenge is charged what it costs itself, and as much of a verification as its payer
// usually causes by one. The part that was not charged is charged when a proof comes.
//
// Payers that have used less than their share of the last minute have half a burst more.
// So one payer that asks for more than there is does not keep out the others.
type Pacer struct {
	places float64
	seed   maphash.Seed

	mu     sync.Mutex
	issue  float64 // seconds for which a challenge holds a place, on average
	verify float64 // the same for a verification
	until  time.Time
	aged   time.Time
	share  float64 // of one payer, in seconds of work
	offers float64 // requests for challenges in the last seconds, and those admitted
	admits float64
	payers [payers]payer
	locals [locals]payer // local ones, whose keys a stranger cannot take
}

// Payer is to whom a challenge is charged. The zero Payer is this process itself.
type Payer struct {
	Key   uint64
	Local bool
}

// Patient reports whether the work for a payer waits as long as it must: that of this
// process and of its machine.
func (by Payer) Patient() bool { return by.Local || by == Payer{} }

// payer is what the pacer knows about the payers of one key, modulo the number of keys.
type payer struct {
	key     uint64
	used    float64 // seconds of work, of which the older ones are forgotten
	answers float64 // verifications for a challenge, on average
}

// The constants of the pacer.
const (
	payers       = 4096
	locals       = 64
	target       = 0.95 // of the capacity
	burst        = 8    // challenges with their verifications
	firstIssue   = 0.0005
	firstVerify  = 0.002
	sampleWeight = 1.0 / 64
	answerWeight = 1.0 / 32
	outlier      = 8 // a sample counts as at most so many times the mean
	remembered   = time.Minute
	recent       = 5 * time.Second
	agedEvery    = time.Second
	answersNot   = 0.25 // a local payer that answers less is not paced
	longestRetry = 30 * time.Second
	fewPending   = 1024
)

// NewPacer returns a pacer for a number of places.
func NewPacer(places int) *Pacer {
	return &Pacer{places: float64(places), seed: maphash.MakeSeed(), issue: firstIssue, verify: firstVerify}
}

// PayerOf returns the payer for a source: the client of an API key, or the address, of
// IPv6 its network of 64 bits. All local sources without a key are one.
func (p *Pacer) PayerOf(s Source) Payer {
	var b [17]byte
	a := plain(s.Addr)
	switch {
	case s.Client != "":
		return Payer{maphash.String(p.seed, s.Client), s.Local}
	case s.Local || !a.IsValid():
	case a.Is4():
		v := a.As4()
		b[0] = 4
		copy(b[1:], v[:])
	default:
		v := a.As16()
		b[0] = 6
		copy(b[1:], v[:8])
	}
	return Payer{maphash.Bytes(p.seed, b[:]), s.Local}
}

// Pace is the decision about one challenge.
type Pace struct {
	OK         bool
	RetryAfter time.Duration // greater than 0 if it is refused
	Charge     Charge
}

// Charge is what was charged for a challenge that is pending.
type Charge struct {
	Key     uint64  // of the payer
	Local   bool    // as the payer
	Prepaid float32 // part of a verification
}

// Admit decides about a challenge and charges it.
func (p *Pacer) Admit(now time.Time, by Payer) Pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age(now)
	p.offers++
	who := p.payer(by)
	price, room := p.price(who)
	if free := p.free(by, who); !free && !p.fits(now, price, room) {
		return Pace{RetryAfter: p.retry()}
	} else if !free || p.fits(now, price, room) {
		p.charge(now, who, price)
	}
	p.admits++
	return Pace{OK: true, Charge: Charge{by.Key, by.Local, float32(who.answers)}}
}

// Refuses reports whether a challenge would be refused now. It charges nothing.
func (p *Pacer) Refuses(now time.Time, by Payer) (retryAfter time.Duration, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.age(now)
	who := p.payer(by)
	if price, room := p.price(who); p.free(by, who) || p.fits(now, price, room) {
		return 0, false
	}
	p.offers++
	return p.retry(), true
}

// free reports whether a payer is not paced: this process, and a local one that does not
// answer its challenges, which is a script of the operator. It is charged while there is room.
func (p *Pacer) free(by Payer, who *payer) bool {
	return by == Payer{} || by.Local && who.answers < answersNot
}

// price returns the work that a challenge causes, and the burst of its payer.
func (p *Pacer) price(who *payer) (price, room float64) {
	price, room = p.issue+who.answers*p.verify, burst*(p.issue+p.verify)
	if !p.over(who) {
		room += room / 2
	}
	return price, room
}

// fits reports whether there is room for work.
func (p *Pacer) fits(now time.Time, price, room float64) bool {
	return !p.until.After(now.Add(p.time(room - price)))
}

// over reports whether a payer has used more than its share.
func (p *Pacer) over(who *payer) bool { return who.used > p.share }

// charge charges work to a payer.
func (p *Pacer) charge(now time.Time, who *payer, work float64) {
	if now.After(p.until) {
		p.until = now
	}
	p.until = p.until.Add(p.time(work))
	who.used += work
}

// time returns the time that work takes if all places are in use, for the target.
func (p *Pacer) time(work float64) time.Duration {
	return time.Duration(work / (target * p.places) * float64(time.Second))
}

// payer returns the entry of a payer. Payers whose keys collide are one unless the former
// has used next to nothing.
func (p *Pacer) payer(by Payer) *payer {
	who := p.slot(by.Key, by.Local)
	if who.key != by.Key && who.used < p.issue {
		*who = payer{key: by.Key, answers: 1}
		if by.Local {
			who.answers = 0
		}
	}
	return who
}

func (p *Pacer) slot(key uint64, local bool) *payer {
	if local {
		return &p.locals[key%locals]
	}
	return &p.payers[key%payers]
}

// Favoured reports whether a payer has used less than its share, so that its work may come
// before that of the others.
func (p *Pacer) Favoured(by Payer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.over(p.payer(by))
}

// Ended counts the end of a challenge: whether a verification was made for it.
func (p *Pacer) Ended(now time.Time, c Charge, verified bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.slot(c.Key, c.Local)
	answer := 0.0
	if verified {
		p.charge(now, who, (1-float64(c.Prepaid))*p.verify)
		answer = 1
	}
	who.answers += answerWeight * (answer - who.answers)
}

// Issued and Verified count the time for which a challenge or a verification held a place.
func (p *Pacer) Issued(took time.Duration) { p.sample(&p.issue, took) }

// Verified is as [Pacer.Issued].
func (p *Pacer) Verified(took time.Duration) { p.sample(&p.verify, took) }

func (p *Pacer) sample(mean *float64, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*mean += sampleWeight * (min(max(took.Seconds(), 0), outlier**mean) - *mean)
}

// Capacity returns how many challenges a second can be issued and verified.
func (p *Pacer) Capacity() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places / (p.issue + p.verify)
}

// Pace returns how many challenges a second are issued at most.
func (p *Pacer) Pace() float64 { return target * p.Capacity() }

// MostPending returns how many challenges of a lifetime may be pending: as many as can be
// verified in it.
func (p *Pacer) MostPending(life time.Duration) int {
	return max(fewPending, int(p.Capacity()*life.Seconds()))
}

// age forgets a part of what was used, once a second, and computes the share of a payer.
func (p *Pacer) age(now time.Time) {
	past := now.Sub(p.aged)
	if past < agedEvery && past >= 0 {
		return
	}
	p.aged = now
	if past < 0 { // the clock was set back
		p.until = now
	}
	if past < 0 || past > 10*remembered {
		past = 10 * remembered
	}
	keep := math.Exp(-float64(past) / float64(recent))
	p.offers, p.admits = p.offers*keep, p.admits*keep
	keep = math.Exp(-float64(past) / float64(remembered))
	var sum float64
	active := 0
	for _, all := range [][]payer{p.payers[:], p.locals[:]} {
		for i := range all {
			if all[i].used *= keep; all[i].used >= p.issue {
				sum += all[i].used
				active++
			}
		}
	}
	p.share = math.Inf(1)
	if active > 1 {
		p.share = sum / float64(active)
	}
}

// retry returns when a refused payer should ask again: the later, the more there are for
// each challenge that can be issued.
func (p *Pacer) retry() time.Duration {
	wait := time.Duration(p.offers / max(1, p.admits) * float64(time.Second))
	return min(max(wait, time.Second), longestRetry)
}
