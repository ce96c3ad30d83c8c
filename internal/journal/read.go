package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/terradourada/td/protocol"
)

// maxRead bounds the entries of one read.
const maxRead = 4096

func unreadable(err error) error {
	return protocol.Wrap(protocol.CodeLedgerUnavailable, "the journal cannot be read", err)
}

// start makes the contents of the journal durable and final (see the package
// comment). It reads its size and state, and checks everything against the
// leaves.
func (j *Journal) start(ctx context.Context) error {
	compared := j.broken
	if j.broken { // since the last process; see recoverFiles
		if err := j.load(ctx); err != nil {
			return err
		}
		if err := j.replace(ctx); err != nil {
			return err
		}
		j.broken = false
	}
	commits, err := j.touch()
	if err != nil {
		return fmt.Errorf("the journal cannot be written: %w", err)
	}
	j.commits = commits
	if !compared && j.later(ctx) {
		return j.loadLater(ctx, j.before)
	}
	return j.load(ctx)
}

// load reads the size and the state, and checks everything against the leaves.
func (j *Journal) load(ctx context.Context) error {
	next, state, err := j.readState(ctx)
	if err != nil {
		return err
	}
	r := newReplay()
	r.most = next
	err = checkDerived(ctx, j.read, r)
	state.By = r.by()
	var rerr error
	if state.Until, rerr = endsOf(r.holds, func(text string, args ...any) (*sql.Row, error) {
		return j.read.QueryRowContext(ctx, text, args...), nil
	}); rerr != nil {
		return rerr
	}
	j.state.Store(&state)
	j.told.Store(next)
	j.sum, j.summed = r.sum, true
	return err
}

// readState reads the size, the state, the clients and the number of audit rows.
func (j *Journal) readState(ctx context.Context) (next uint64, state State, err error) {
	if err := j.read.QueryRowContext(ctx, "SELECT next FROM counter").Scan(&next); err != nil {
		return 0, state, err
	}
	rows, err := j.read.QueryContext(ctx, selectState)
	if err != nil {
		return 0, state, err
	}
	if state, err = scanState(rows); err != nil {
		return 0, state, err
	}
	registry, audited, err := loadAdministration(ctx, j.read)
	if err != nil {
		return 0, state, err
	}
	j.clients.Store(registry)
	j.rows = audited
	return next, state, nil
}

// Leaves reads up to max entries (at most 4,096) from index from on, in order
// and without gaps; none beyond [Journal.Size].
func (j *Journal) Leaves(ctx context.Context, from uint64, max int) ([]Entry, error) {
	if max <= 0 {
		return nil, nil
	}
	end := min(j.told.Load(), from+uint64(min(max, maxRead)))
	if from >= end {
		return nil, nil
	}
	return j.entries(ctx, "SELECT seq, leaf FROM leaves WHERE seq >= ? AND seq < ? ORDER BY seq", from, end)
}

// Leaf returns the leaf at an index, none beyond [Journal.Size].
func (j *Journal) Leaf(ctx context.Context, seq uint64) (Entry, bool, error) {
	return first(j.Leaves(ctx, seq, 1))
}

// Accepted finds the leaf of an accepted request. A false answer is final for every
// acceptance submitted before the call; while one of them is undecided the error is
// [ErrUnknown].
func (j *Journal) Accepted(ctx context.Context, id protocol.RequestID) (Entry, bool, error) {
	if j.flight.has(id) {
		return Entry{}, false, unknown(errors.New("still being written"))
	}
	return j.entry(ctx, "SELECT seq, leaf FROM accepted JOIN leaves USING (seq) WHERE request_id = ?", id[:])
}

// ClaimLeaf returns the claim leaf with this fingerprint.
func (j *Journal) ClaimLeaf(ctx context.Context, vk protocol.Digest) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM claims JOIN leaves USING (seq) WHERE vk = ?", vk[:])
}

// ClaimLeaves lists all claim leaves in order, at most 4,096.
func (j *Journal) ClaimLeaves(ctx context.Context) ([]Entry, error) {
	return j.entries(ctx, "SELECT seq, leaf FROM claims JOIN leaves USING (seq) ORDER BY seq LIMIT ?", maxRead)
}

// EpochLeaf returns the leaf that opened an epoch.
func (j *Journal) EpochLeaf(ctx context.Context, id protocol.EpochID) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened WHERE id = ?", id[:])
}

// EpochLeafByNumber returns the leaf that opened the epoch of this number.
func (j *Journal) EpochLeafByNumber(ctx context.Context, number uint64) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened WHERE number = ?", signed(number))
}

// EpochLeafByKey returns the leaf that opened the epoch with this checkpoint
// key.
func (j *Journal) EpochLeafByKey(ctx context.Context, checkpointKey [32]byte) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened WHERE checkpoint_key = ?", checkpointKey[:])
}

// EpochCloseLeaf returns the leaf that closed an epoch.
func (j *Journal) EpochCloseLeaf(ctx context.Context, id protocol.EpochID) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = closed WHERE id = ?", id[:])
}

// EpochLeaves lists the leaves that opened the epochs numbered below before,
// latest first, at most max and at most 4,096 of them.
func (j *Journal) EpochLeaves(ctx context.Context, before uint64, max int) ([]Entry, error) {
	return j.entries(ctx, `SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened
		WHERE number < ? ORDER BY number DESC LIMIT ?`, signed(before), min(max, maxRead))
}

// Withdrawals lists, in order, all control leaves with a sequence below the
// given one that withdraw an epoch or a verifying key. If there are more than
// most, it lists only those of this epoch and this verifying key, two at most.
func (j *Journal) Withdrawals(ctx context.Context, epoch protocol.EpochID, vk protocol.Digest, below uint64, most int) ([]Entry, error) {
	target := EpochTarget(epoch)
	return j.entries(ctx, `SELECT seq, leaf FROM withdrawals JOIN leaves USING (seq) WHERE seq < ?1 AND
		((SELECT count(*) FROM withdrawals WHERE seq < ?1) <= ?2 OR
			(action = ?3 AND target = ?4) OR (action = ?5 AND target = ?6)) ORDER BY seq`,
		signed(below), most, int(protocol.ActionRevokeEpoch), target[:], int(protocol.ActionRetireVK), vk[:])
}

// OpenEpochs lists the epochs that have no close leaf, in order of opening.
func (j *Journal) OpenEpochs(ctx context.Context) ([]protocol.EpochOpen, error) {
	entries, err := j.entries(ctx, `SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened
		WHERE closed IS NULL ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	open := make([]protocol.EpochOpen, 0, len(entries))
	for _, e := range entries {
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			return nil, unreadable(err)
		}
		body, ok := leaf.Body.(*protocol.EpochOpen)
		if !ok {
			return nil, unreadable(errors.New("the leaf of an epoch is of another type"))
		}
		open = append(open, *body)
	}
	return open, nil
}

const selectLastEpoch = "SELECT number, id, opened FROM epochs ORDER BY number DESC LIMIT 1"

// LastEpoch returns the number and id of the latest epoch and the index of the
// leaf that opened it; zeros if there was none.
func (j *Journal) LastEpoch(ctx context.Context) (number uint64, id protocol.EpochID, index uint64, err error) {
	var b []byte
	_, err = j.row(ctx, selectLastEpoch, nil, &number, &b, &index)
	copy(id[:], b)
	return number, id, index, err
}

// row reads the first row of a query. It reports whether there is one.
func (j *Journal) row(ctx context.Context, query string, args []any, dst ...any) (bool, error) {
	j.reads.RLock()
	defer j.reads.RUnlock()
	err := j.read.QueryRowContext(ctx, query, args...).Scan(dst...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, unreadable(err)
	}
	return true, nil
}

func (j *Journal) entry(ctx context.Context, query string, args ...any) (Entry, bool, error) {
	return first(j.entries(ctx, query, args...))
}

func first(all []Entry, err error) (Entry, bool, error) {
	if err != nil || len(all) == 0 {
		return Entry{}, false, err
	}
	return all[0], true, nil
}

func (j *Journal) entries(ctx context.Context, query string, args ...any) ([]Entry, error) {
	var all []Entry
	err := j.each(ctx, func(rows *sql.Rows) error {
		var e Entry
		err := rows.Scan(&e.Seq, &e.Leaf)
		all = append(all, e)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// each calls row for each row of a query.
func (j *Journal) each(ctx context.Context, row func(*sql.Rows) error, query string, args ...any) error {
	j.reads.RLock()
	defer j.reads.RUnlock()
	err := eachRow(func(text string) (*sql.Rows, error) { return j.read.QueryContext(ctx, text, args...) }, query, row)
	if err != nil {
		return unreadable(err)
	}
	return nil
}

// signed limits a number from outside to the range of an SQL integer; the
// journal holds none greater.
func signed(n uint64) int64 { return int64(min(n, 1<<63-1)) }
