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

// start makes what the journal holds durable and final (see the package
// comment), checks the counter and the derived tables against the leaves, and
// takes the journal's size and state from them.
func (j *Journal) start(ctx context.Context) error {
	commits, err := j.touch()
	if err != nil {
		return fmt.Errorf("the journal cannot be written: %w", err)
	}
	var next, last uint64
	var first sql.NullInt64
	err = j.read.QueryRowContext(ctx, `SELECT next, time, (SELECT min(seq) FROM leaves) FROM counter`).Scan(&next, &last, &first)
	if err != nil {
		return err
	}
	rows, err := j.read.QueryContext(ctx, selectState)
	if err != nil {
		return err
	}
	state, err := scanState(rows)
	if err != nil {
		return err
	}
	j.commits = commits
	j.state.Store(&state)
	j.told.Store(next)
	if next > 0 || first.Valid {
		if err := j.checkLast(ctx, next, last, first); err != nil {
			return err
		}
	}
	return checkDerived(ctx, j.read)
}

func (j *Journal) checkLast(ctx context.Context, next, last uint64, first sql.NullInt64) error {
	var b []byte
	err := j.read.QueryRowContext(ctx, "SELECT leaf FROM leaves ORDER BY seq DESC LIMIT 1").Scan(&b)
	if err != nil {
		return err
	}
	leaf, err := protocol.ParseLeaf(b)
	if err != nil {
		return fmt.Errorf("the last leaf is damaged: %w", err)
	}
	if first.Int64 != 0 || leaf.Seq+1 != next || leaf.Time != last {
		return errors.New("the leaves do not agree with the counter")
	}
	return nil
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

// Found is an accepted request.
type Found struct {
	Entry
	ProofDigest protocol.Digest // SHA-256 of the accepted proof
}

// Accepted finds the acceptance of a request. A false answer is final for
// every acceptance submitted before the call; while one of them is undecided
// the error is [ErrUnknown].
func (j *Journal) Accepted(ctx context.Context, id protocol.RequestID) (Found, bool, error) {
	if j.flight.has(id) {
		return Found{}, false, unknown(errors.New("still being written"))
	}
	var f Found
	var digest []byte
	row := j.read.QueryRowContext(ctx, `SELECT seq, leaf, proof_digest FROM accepted JOIN leaves USING (seq)
		WHERE request_id = ?`, id[:])
	err := row.Scan(&f.Seq, &f.Leaf, &digest)
	if errors.Is(err, sql.ErrNoRows) {
		return Found{}, false, nil
	}
	if err != nil {
		return Found{}, false, unreadable(err)
	}
	f.ProofDigest = protocol.Digest(digest)
	return f, true, nil
}

// ClaimLeaf finds the claim leaf with this fingerprint.
func (j *Journal) ClaimLeaf(ctx context.Context, vk protocol.Digest) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM claims JOIN leaves USING (seq) WHERE vk = ?", vk[:])
}

// ClaimLeaves lists all claim leaves in order, at most 4,096.
func (j *Journal) ClaimLeaves(ctx context.Context) ([]Entry, error) {
	return j.entries(ctx, "SELECT seq, leaf FROM claims JOIN leaves USING (seq) ORDER BY seq LIMIT ?", maxRead)
}

// EpochLeaf finds the leaf that opened an epoch.
func (j *Journal) EpochLeaf(ctx context.Context, id protocol.EpochID) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened WHERE id = ?", id[:])
}

// EpochLeafByNumber finds the leaf that opened the epoch of this number.
func (j *Journal) EpochLeafByNumber(ctx context.Context, number uint64) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened WHERE number = ?", signed(number))
}

// EpochLeafByKey finds the leaf that opened the epoch with this checkpoint key.
func (j *Journal) EpochLeafByKey(ctx context.Context, checkpointKey [32]byte) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened WHERE checkpoint_key = ?", checkpointKey[:])
}

// EpochCloseLeaf finds the leaf that closed an epoch.
func (j *Journal) EpochCloseLeaf(ctx context.Context, id protocol.EpochID) (Entry, bool, error) {
	return j.entry(ctx, "SELECT seq, leaf FROM epochs JOIN leaves ON seq = closed WHERE id = ?", id[:])
}

// EpochLeaves lists the leaves that opened the epochs numbered below before,
// latest first, at most max and at most 4,096 of them.
func (j *Journal) EpochLeaves(ctx context.Context, before uint64, max int) ([]Entry, error) {
	return j.entries(ctx, `SELECT seq, leaf FROM epochs JOIN leaves ON seq = opened
		WHERE number < ? ORDER BY number DESC LIMIT ?`, signed(before), min(max, maxRead))
}

// Withdrawals lists, in order, the control leaves that withdraw an epoch or a
// verifying key: two at most.
func (j *Journal) Withdrawals(ctx context.Context, epoch protocol.EpochID, vk protocol.Digest) ([]Entry, error) {
	target := EpochTarget(epoch)
	return j.entries(ctx, `SELECT seq, leaf FROM withdrawals JOIN leaves USING (seq)
		WHERE (action = ? AND target = ?) OR (action = ? AND target = ?) ORDER BY seq`,
		int(protocol.ActionRevokeEpoch), target[:], int(protocol.ActionRetireVK), vk[:])
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

// LastEpochNumber is the number of the latest epoch, 0 if there was none.
func (j *Journal) LastEpochNumber(ctx context.Context) (uint64, error) {
	var n uint64
	err := j.read.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM epochs").Scan(&n)
	if err != nil {
		return 0, unreadable(err)
	}
	return n, nil
}

// AcceptedIn counts the acceptances under an epoch, 0 for an unknown one.
func (j *Journal) AcceptedIn(ctx context.Context, epoch protocol.EpochID) (uint64, error) {
	var n uint64
	err := j.read.QueryRowContext(ctx, "SELECT coalesce(sum(accepted), 0) FROM epochs WHERE id = ?", epoch[:]).Scan(&n)
	if err != nil {
		return 0, unreadable(err)
	}
	return n, nil
}

// Issued gives the digests saved by [Journal.SaveIssued], in the order in which
// they were saved.
func (j *Journal) Issued(ctx context.Context, epoch protocol.EpochID) ([]protocol.Digest, error) {
	rows, err := j.read.QueryContext(ctx, "SELECT digests FROM issued WHERE epoch = ? ORDER BY run", epoch[:])
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var all []protocol.Digest
	for rows.Next() {
		var run sql.RawBytes
		if err := rows.Scan(&run); err != nil {
			return nil, unreadable(err)
		}
		for ; len(run) >= protocol.DigestSize; run = run[protocol.DigestSize:] {
			all = append(all, protocol.Digest(run[:protocol.DigestSize]))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, unreadable(err)
	}
	return all, nil
}

func (j *Journal) entry(ctx context.Context, query string, args ...any) (Entry, bool, error) {
	all, err := j.entries(ctx, query, args...)
	if err != nil || len(all) == 0 {
		return Entry{}, false, err
	}
	return all[0], true, nil
}

func (j *Journal) entries(ctx context.Context, query string, args ...any) ([]Entry, error) {
	rows, err := j.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	var all []Entry
	for rows.Next() {
		var e Entry
		if err := rows.Scan(&e.Seq, &e.Leaf); err != nil {
			return nil, unreadable(err)
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, unreadable(err)
	}
	return all, nil
}

// signed brings a number from outside into the range of an SQL integer; the
// journal holds none greater.
func signed(n uint64) int64 { return int64(min(n, 1<<63-1)) }
