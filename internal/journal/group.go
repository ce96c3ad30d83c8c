package journal

import (
	"database/sql"
	"errors"
	"time"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// errForeign: the counter row is not as this journal left it, or another
// process may be writing.
var errForeign = errors.New("the journal was changed by another process")

// group is one transaction: what it read at its start, kept up to date with
// what it has written.
type group struct {
	w       *writeConn
	next    uint64 // sequence of the next leaf
	time    uint64 // Unix ms of the last leaf
	commits uint64
	state   State
	epochs  map[protocol.EpochID]*epoch // those queried so far, nil for none
	claims  map[protocol.Digest]bool    // those queried so far

	withdrawals uint32 // leaves that withdraw, see protocol.Leaf.Withdraws

	registry *principal.Registry // of the clients; nil if they did not change
	rows     uint64              // id of the last audit row that was written; 0 if none was

	entries []Entry // written
	dirty   bool    // something was written
	err     error   // first failure of the database; nothing runs after it

	batch    []*submission
	outcomes []outcome // of batch
	stops    []*stop
	stopped  []outcome // of stops
	answered bool      // its callers got ErrUnknown
}

// epoch is a row of the epochs table with its revocation.
type epoch struct {
	number   uint64
	instance protocol.InstanceID
	live     bool // opened, neither closed nor revoked
	closed   bool
	accepted uint64
	issued   uint64              // sequence of the accepted leaf that root is from
	root     protocol.SignedRoot // greatest one of the issued tree in an accepted leaf; zero if none
	changed  bool                // accepted, issued or root
}

// begin opens a transaction that excludes other writers, and reads what
// decisions need.
func (j *Journal) begin() (*group, error) {
	if j.foreign {
		return nil, errForeign
	}
	w, err := j.connect()
	if err != nil {
		return nil, err
	}
	if err := w.exec("begin", "BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	g := &group{w: w, epochs: make(map[protocol.EpochID]*epoch), claims: make(map[protocol.Digest]bool)}
	g.scan("SELECT next, time, withdrawals, commits FROM counter", nil, &g.next, &g.time, &g.withdrawals, &g.commits)
	g.readState()
	was := j.state.Load()
	g.state.By, g.state.Until = was.By, was.Until
	if g.err == nil && (g.commits != j.commits || g.next != j.told.Load()) {
		j.foreign = true
		return nil, errForeign
	}
	return g, g.err
}

func (g *group) readState() {
	if g.err != nil {
		return
	}
	rows, err := g.w.query(selectState)
	if err != nil {
		g.err = err
		return
	}
	g.state, g.err = scanState(rows)
}

// scan reads one row; false if there is none or the group has failed.
func (g *group) scan(query string, args []any, dst ...any) bool {
	if g.err != nil {
		return false
	}
	row, err := g.w.row(query, args...)
	if err == nil {
		err = row.Scan(dst...)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false
	}
	g.err = err
	return err == nil
}

// exec writes; after the first failure it does nothing.
func (g *group) exec(query string, args ...any) {
	if g.err != nil {
		return
	}
	g.dirty = true
	g.err = g.w.exec("exec", query, args...)
}

// leaf assigns number, time and count of withdrawals to the next leaf and
// writes it. It refuses, and writes nothing, after the seal and if the body has no
// encoding.
func (g *group) leaf(now time.Time, body protocol.LeafBody) (Entry, error) {
	if g.state.Sealed {
		return Entry{}, errSealed()
	}
	l := protocol.Leaf{
		Seq: g.next, Time: max(g.time, uint64(max(0, now.UnixMilli()))), Withdrawals: g.withdrawals, Body: body,
	}
	b, err := l.Encode()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Seq: g.next, Leaf: b}
	g.exec("INSERT INTO leaves (seq, type, leaf) VALUES (?, ?, ?)", e.Seq, int(body.LeafType()), b)
	g.next, g.time = l.Seq+1, l.Time
	if l.Withdraws() {
		g.withdrawals++
	}
	g.entries = append(g.entries, e)
	return e, nil
}

// finish writes the counters; it is the last write.
func (g *group) finish() {
	g.exec("UPDATE counter SET next = ?, time = ?, withdrawals = ?, commits = ?", g.next, g.time, g.withdrawals, g.commits+1)
	for id, e := range g.epochs {
		if e != nil && e.changed {
			g.exec("UPDATE epochs SET accepted = ?, issued = ? WHERE id = ?", e.accepted, e.issued, id[:])
		}
	}
}

// epoch returns the row of an epoch, nil if there is none.
func (g *group) epoch(id protocol.EpochID) *epoch {
	if e, ok := g.epochs[id]; ok {
		return e
	}
	var e epoch
	var instance, issued []byte
	var revoked bool
	target := EpochTarget(id)
	found := g.scan(`SELECT number, instance, accepted, coalesce(issued, 0), (SELECT leaf FROM leaves WHERE seq = issued),
		closed IS NOT NULL, EXISTS (SELECT 1 FROM withdrawals WHERE action = ? AND target = ?) FROM epochs WHERE id = ?`,
		[]any{int(protocol.ActionRevokeEpoch), target[:], id[:]},
		&e.number, &instance, &e.accepted, &e.issued, &issued, &e.closed, &revoked)
	if !found {
		g.epochs[id] = nil
		return nil
	}
	e.instance = protocol.InstanceID(instance)
	e.live = !e.closed && !revoked
	if issued != nil {
		e.root, g.err = issuedRoot(issued)
	}
	g.epochs[id] = &e
	return &e
}

// issuedRoot returns the root of the issued tree in an accepted leaf.
func issuedRoot(leaf []byte) (protocol.SignedRoot, error) {
	l, err := protocol.ParseLeaf(leaf)
	if err != nil {
		return protocol.SignedRoot{}, err
	}
	a, ok := l.Body.(*protocol.Accepted)
	if !ok {
		return protocol.SignedRoot{}, errors.New("the leaf of an acceptance is of another type")
	}
	return a.Issued.SignedRoot, nil
}

// claim reports whether a claim has its leaf.
func (g *group) claim(vk protocol.Digest) bool {
	if known, ok := g.claims[vk]; ok {
		return known
	}
	var known bool
	g.scan("SELECT EXISTS (SELECT 1 FROM claims WHERE vk = ?)", []any{vk[:]}, &known)
	g.claims[vk] = known
	return known
}

// withdraw records that an epoch or a verifying key is withdrawn.
func (g *group) withdraw(action protocol.ControlAction, target protocol.Digest, seq uint64) {
	g.exec("INSERT INTO withdrawals (action, target, seq) VALUES (?, ?, ?)", int(action), target[:], seq)
}
