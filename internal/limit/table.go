package limit

import "sync"

// A table is a set-associative table of buckets: a bucket is in one of the ways of the
// set that its key selects. It has a fixed size and no pointers.
type table struct {
	sets  [][ways]bucket
	locks []lock // each guards the sets whose number ends in its own
}

const (
	ways     = 8
	maxLocks = 256
)

// bucket is one quota of one source: 16 bytes. until is the time, in nanoseconds since
// the tables were made, at which it is full again. If that has passed, the bucket is free.
type bucket struct {
	key   uint64
	until int64
}

// lock has a cache line of its own.
type lock struct {
	sync.Mutex
	_ [56]byte
}

// newTable returns a table with at least this number of buckets, rounded up to a power
// of 2.
func newTable(buckets int) *table {
	sets := 1
	for sets*ways < buckets {
		sets *= 2
	}
	return &table{sets: make([][ways]bucket, sets), locks: make([]lock, min(sets, maxLocks))}
}

// outcome is what became of a charge.
type outcome uint8

const (
	paid outcome = iota
	refused
	noRoom
)

// take charges a bucket. It returns the time at which the bucket is full again, or, if it
// refuses, the time to wait.
func (t *table) take(key uint64, now, price, full int64) (outcome, int64) {
	set, mu := t.set(key)
	mu.Lock()
	defer mu.Unlock()
	b := t.find(set, key, now)
	if b == nil {
		return noRoom, 0
	}
	b.key = key
	var wait int64
	if b.until, wait = spend(b.until, now, price, full); wait > 0 {
		return refused, wait
	}
	return paid, b.until
}

// give returns a charge.
func (t *table) give(key uint64, price int64) {
	set, mu := t.set(key)
	mu.Lock()
	defer mu.Unlock()
	for i := range set {
		if set[i].key == key {
			set[i].until -= price
			return
		}
	}
}

// fill charges one unit even if the bucket refuses it; the bucket is never more than
// empty. It reports whether there is a place for it.
func (t *table) fill(key uint64, now int64, r rate) bool {
	set, mu := t.set(key)
	mu.Lock()
	defer mu.Unlock()
	b := t.find(set, key, now)
	if b == nil {
		return false
	}
	b.key, b.until = key, min(max(b.until, now)+r.unit, now+r.full)
	return true
}

// wait returns the time until a bucket has a unit; 0 is now.
func (t *table) wait(key uint64, now int64, r rate) int64 {
	set, mu := t.set(key)
	mu.Lock()
	defer mu.Unlock()
	for i := range set {
		if b := &set[i]; b.key == key && b.until > now {
			b.until = min(b.until, now+r.full)
			return max(0, b.until+r.unit-now-r.full)
		}
	}
	return 0
}

func (t *table) set(key uint64) (*[ways]bucket, *lock) {
	n := key & uint64(len(t.sets)-1)
	return &t.sets[n], &t.locks[n&uint64(len(t.locks)-1)]
}

// find returns the bucket of a key, or a free one, or nil.
func (t *table) find(set *[ways]bucket, key uint64, now int64) *bucket {
	var free *bucket
	for i := range set {
		b := &set[i]
		if b.key == key {
			return b
		}
		if b.until <= now {
			free = b
		}
	}
	return free
}

// live counts the buckets that are not full.
func (t *table) live(now int64) (n int) {
	for i := range t.sets {
		mu := &t.locks[i&(len(t.locks)-1)]
		mu.Lock()
		for _, b := range t.sets[i] {
			if b.until > now {
				n++
			}
		}
		mu.Unlock()
	}
	return n
}
