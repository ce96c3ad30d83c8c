package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
)

// derived holds the rows that the journal decides by and that follow from the
// leaves. The tables of acceptances are as long as the log. Their indexes are
// read in order, which takes a third of the time of SQLite's own full check.
// That check is used for the other tables, which are short (see checkIndexes).
var derived = []struct {
	name   string
	query  string
	sorted int // number of columns that are the key of an index
}{
	{"accepted", "SELECT seq, request_id, anchor, cm, proof_digest, claim FROM accepted NOT INDEXED", 0},
	{"request ids", "SELECT request_id, seq FROM accepted INDEXED BY sqlite_autoindex_accepted_1 ORDER BY request_id", 1},
	{"anchors", "SELECT anchor, seq FROM accepted INDEXED BY sqlite_autoindex_accepted_2 ORDER BY anchor", 1},
	{"commitments", "SELECT cm, seq FROM accepted INDEXED BY sqlite_autoindex_accepted_3 ORDER BY cm", 1},
	{"nullifiers", "SELECT scope, nullifier, seq FROM nullifiers ORDER BY scope, nullifier", 2},
	{"epochs", "SELECT id, number, instance, checkpoint_key, opened, closed, accepted, issued FROM epochs", 0},
	{"claims", "SELECT vk, seq FROM claims", 0},
	{"holds", "SELECT operation, vk FROM holds", 0},
	{"withdrawals", "SELECT action, target, seq FROM withdrawals", 0},
	{"counter", "SELECT next, time, withdrawals, sealed FROM counter", 0},
}

// bag represents a set of rows by the sum of their hashes. The hash has a new
// key for each comparison, so that an author of the file cannot aim at a sum.
type bag [sha256.Size / 8]uint64

const bagKeySize = 32

// add hashes one row; buf holds the key and is used as scratch space.
func (b *bag) add(buf []byte, columns ...[]byte) {
	buf = buf[:bagKeySize]
	for _, c := range columns {
		if c == nil { // NULL
			buf = append(buf, 0)
			continue
		}
		buf = append(buf, 1)
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(c)))
		buf = append(buf, c...)
	}
	sum := sha256.Sum256(buf)
	for i := range b {
		b[i] += binary.BigEndian.Uint64(sum[8*i:])
	}
}

// checkDerived reads all leaves once, into r, and compares what follows from
// them with the tables that the writer decides by. It keeps the epochs and the
// claims in memory; for the acceptances it keeps only a sum.
func checkDerived(ctx context.Context, db *sql.DB, r *replay) error {
	// It uses one transaction, because another process may be writing while a view
	// reads.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if err := r.leaves(ctx, tx); err != nil {
		return unusable(err)
	}
	for i := range derived {
		d := &derived[i]
		found, err := readBag(ctx, tx, r, d.query, d.sorted)
		if err == nil && found != *r.bag(d.name) {
			err = errors.New("differs from the leaves")
		}
		if err != nil {
			return unusable(fmt.Errorf("%s: %w", d.name, err))
		}
	}
	return checkIndexes(ctx, tx)
}

// readBag puts the rows of a query into a bag. The given number of leading
// columns must ascend: a search in an index that is out of order misses rows.
func readBag(ctx context.Context, tx *sql.Tx, r *replay, query string, sorted int) (bag, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return bag{}, err
	}
	defer func() { _ = rows.Close() }() // rows.Err reports it
	names, err := rows.Columns()
	if err != nil {
		return bag{}, err
	}
	columns, dst := make([][]byte, len(names)), make([]any, len(names))
	for i := range columns {
		dst[i] = (*sql.RawBytes)(&columns[i])
	}
	var b bag
	var key, last []byte
	for rows.Next() {
		if err := rows.Scan(dst...); err != nil {
			return bag{}, err
		}
		b.add(r.buf, columns...)
		r.step()
		if sorted == 0 {
			continue
		}
		key = append(key[:0], bytes.Join(columns[:sorted], nil)...)
		if last != nil && bytes.Compare(last, key) >= 0 {
			return bag{}, errors.New("out of order")
		}
		key, last = last, key
	}
	return b, rows.Err()
}

// checkIndexes runs SQLite's full check over the short tables. A view may read a
// journal of an older schema, which lacks some of them.
func checkIndexes(ctx context.Context, tx *sql.Tx) error {
	for _, table := range []string{"epochs", "claims", "holds", "withdrawals", "clients", "keys", "audit"} {
		var found string
		if err := tx.QueryRowContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?", table).Scan(&found); errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err := mustBeOK(tx.QueryRowContext(ctx, "PRAGMA integrity_check("+table+")")); err != nil {
			return err
		}
	}
	return nil
}
