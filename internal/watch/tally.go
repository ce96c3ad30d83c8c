package watch

import (
	"cmp"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Tally counts events for a window that ends now. It observes them in the path of the
// request, so its counts are exact for the server, and never too high for a client or
// network. Clients and networks have a table of a fixed size for each counter, so that
// events of one kind displace none of another. A newcomer replaces the least busy entry
// of its set and takes over that entry's rank, so that an offender stays in the table
// however many others appear, and counts from 0. Its methods may be called from any
// goroutine.
type Tally struct {
	seed maphash.Seed

	mu       sync.Mutex // guards what follows
	global   Counts
	classes  Classes
	clients  tables[string]
	networks tables[netip.Prefix]
	past     []slice // of the last ticks, the newest last
	step     float64 // largest step of the clock since the last tick
	gauges   Gauges
	scale    Gauges // factors from the values of events to those of gauges
	totals   [counterEnd]float64
}

// slice is what was counted between two ticks.
type slice struct {
	global            Counts
	classes           Classes
	clients, networks []counted
	step              float64
}

// counted is what one source has caused of one counter.
type counted struct {
	name string
	of   Counter
	n    uint32
}

// NewTally returns a tally that has counted nothing. maxLag is the lag of the log at which
// acceptance stops, and maxAge the age at which an epoch is rotated, 0 if none is.
func NewTally(maxLag uint64, maxAge time.Duration) *Tally {
	t := &Tally{seed: maphash.MakeSeed(), gauges: NoGauges()}
	for g := range t.scale {
		t.scale[g] = 1
	}
	t.scale[LedgerLag] = 1 / float64(max(1, maxLag))
	t.scale[CertificateDays] = 1.0 / (24 * 60 * 60)
	t.scale[EpochAge] = 0
	if maxAge > 0 {
		t.scale[EpochAge] = 1 / maxAge.Seconds()
	}
	t.clients = newTables[string](maxClients)
	t.networks = newTables[netip.Prefix](maxNetworks)
	return t
}

// Sizes of each table, in entries between two ticks.
const (
	maxClients  = 256
	maxNetworks = 1024
	ways        = 8
	maxSources  = 64 // that a tick reads for each counter, the busiest
)

// counterOf holds the counter of each cause that has one.
var counterOf = map[telemetry.Cause]Counter{
	telemetry.WrongTag:        WrongTags,
	telemetry.UnknownID:       UnknownRequests,
	telemetry.WrongClient:     UnknownRequests,
	telemetry.ForeignTag:      UnknownRequests,
	telemetry.FalseProof:      FalseProofs,
	telemetry.MalformedProof:  MalformedProofs,
	telemetry.Malformed:       Malformed,
	telemetry.Unauthenticated: WrongKeys,
	telemetry.Limited:         Limited,
	telemetry.Overloaded:      Overloaded,
	telemetry.Slow:            Slow,
	telemetry.Fault:           Faults,
}

// ofSource are the counters that are kept for clients and networks.
var ofSource = [counterEnd]bool{WrongTags: true, UnknownRequests: true, FalseProofs: true, WrongKeys: true}

// Request counts a request. What a client with an API key sends is counted for the client
// and not for its network, where others may be, too.
func (t *Tally) Request(r telemetry.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	class := telemetry.ClassOf(r.Operation)
	if class != "health" { // it is never limited, and would dilute the ratios
		t.global[Requests]++
	}
	t.classes[slices.Index(telemetry.Classes, class)].count(r.Cause)
	c, counted := counterOf[r.Cause]
	if !counted {
		return
	}
	t.global[c]++
	if !ofSource[c] {
		return
	}
	if r.Client != "" {
		t.clients.count(maphash.String(t.seed, r.Client), r.Client, c)
	} else if p := network(r.Source); p.IsValid() {
		t.networks.count(maphash.Comparable(t.seed, p), p, c)
	}
}

// network returns the network of an address: /24 of IPv4, /48 of IPv6.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // of the zero Addr there is none
	return p
}

// gaugeOf holds the gauge of each kind of change that is measured.
var gaugeOf = map[telemetry.Kind]Gauge{
	telemetry.LedgerLag:         LedgerLag,
	telemetry.CheckpointAge:     CheckpointAge,
	telemetry.EpochAge:          EpochAge,
	telemetry.EpochFill:         EpochFill,
	telemetry.DiskFreeRatio:     DiskFree,
	telemetry.CertificateExpiry: CertificateDays,
}

// Change counts a change of state, or keeps a measured value.
func (t *Tally) Change(c telemetry.Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g, ok := gaugeOf[c.Kind]; ok {
		t.gauges[g] = c.Value * t.scale[g]
		return
	}
	switch c.Kind {
	case telemetry.ChildDied:
		switch c.Subject {
		case "signer", "tagger":
			t.global[KeyholderDeaths]++
		case "prover":
			t.global[ProverDeaths]++
		case "notifier":
			t.global[NotifierDeaths]++
		}
	case telemetry.PushDecided:
		t.global[Pushes]++
	case telemetry.ProverFailed:
		t.global[ProverErrors]++
	case telemetry.TaggerDisagreed:
		t.global[Disagreements]++
	case telemetry.ClockStepped:
		t.step = max(t.step, c.Value, -c.Value)
	case telemetry.EventsLost:
		t.total(EventsLost, c.Value)
	case telemetry.LogLinesLost:
		t.total(LinesLost, c.Value)
	}
}

// total counts what a total that is reported has grown by. The lock is held.
func (t *Tally) total(c Counter, now float64) {
	t.global[c] = sum(t.global[c], uint32(min(max(0, now-t.totals[c]), 1<<31)))
	t.totals[c] = now
}

// Total takes a total that is counted elsewhere. What it has grown by since the last call
// is counted in this tick.
func (t *Tally) Total(c Counter, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total(c, float64(n))
}

// Take ends the present tick and returns the counts of the last ones, as many as the
// window covers, and the gauges that events report.
func (t *Tally) Take(tick time.Duration, ticks int) Input {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := slice{t.global, t.classes, t.clients.take(func(s string) string { return s }), t.networks.take(netip.Prefix.String), t.step}
	t.global, t.classes, t.step = Counts{}, Classes{}, 0
	t.past = append(t.past, now)
	t.past = slices.Delete(t.past, 0, max(0, len(t.past)-ticks))
	in := Input{Window: tick * time.Duration(ticks), Gauges: t.gauges}
	in.Gauges[ClockStep] = 0
	clients, networks := make(map[string]*Counts), make(map[string]*Counts)
	for i := range t.past {
		p := &t.past[i]
		in.Global.add(&p.global)
		in.Classes.add(&p.classes)
		merge(clients, p.clients)
		merge(networks, p.networks)
		in.Gauges[ClockStep] = max(in.Gauges[ClockStep], p.step)
	}
	in.Clients, in.Networks = busiest(clients), busiest(networks)
	return in
}

func merge(into map[string]*Counts, all []counted) {
	for _, s := range all {
		c := into[s.name]
		if c == nil {
			c = new(Counts)
			into[s.name] = c
		}
		c[s.of] = sum(c[s.of], s.n)
	}
}

// busiest returns, for each counter, the sources with the most events of it. So many
// sources with harmless events do not hide one with few that are not.
func busiest(all map[string]*Counts) (list []Source) {
	names := slices.Sorted(maps.Keys(all))
	listed := make(map[string]bool)
	for c, counted := range ofSource {
		if !counted {
			continue
		}
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(all[b][c], all[a][c]) })
		for _, name := range names[:min(len(names), maxSources)] {
			if all[name][c] > 0 && !listed[name] {
				listed[name] = true
				list = append(list, Source{name, *all[name]})
			}
		}
	}
	return list
}

// tables counts for a bounded number of keys. It has a table for each counter that is kept
// for sources.
type tables[K comparable] [counterEnd]table[K]

// table counts events of one kind.
type table[K comparable] [][ways]row[K]

type row[K comparable] struct {
	key  K
	rank uint32 // 0 is an empty row
	n    uint32
}

func newTables[K comparable](rows int) (all tables[K]) {
	for c, kept := range ofSource {
		if kept {
			all[c] = make(table[K], rows/ways)
		}
	}
	return all
}

// count counts one event of a key.
func (t *tables[K]) count(hash uint64, key K, c Counter) {
	set := &t[c][hash%uint64(len(t[c]))]
	least := &set[0]
	for i := range set {
		r := &set[i]
		if r.rank > 0 && r.key == key {
			least = r
			break
		}
		if r.rank < least.rank {
			least = r
		}
	}
	if least.key != key || least.rank == 0 {
		*least = row[K]{key: key, rank: least.rank}
	}
	least.rank, least.n = sum(least.rank, 1), sum(least.n, 1)
}

// take returns what was counted and empties the tables.
func (t *tables[K]) take(name func(K) string) (all []counted) {
	for c := range t {
		for i := range t[c] {
			for j := range t[c][i] {
				if r := &t[c][i][j]; r.rank > 0 {
					all = append(all, counted{name(r.key), Counter(c), r.n})
					*r = row[K]{}
				}
			}
		}
	}
	return all
}
