package journal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// writeConn is the writer's connection with its prepared statements. After any
// failure it is dropped, which ends an open transaction, and a new one is
// opened: nothing of a failed transaction survives in memory.
type writeConn struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	fault faultFunc
}

// faultFunc lets tests break the writer. For the operations "begin", "exec",
// "commit" and "rollback" it returns whether the operation takes place and which
// error is reported. The operations "checkpoint", "copy", "verify", "complete",
// "swap" and "settle" do not take place if it returns an error; "settled" has taken
// place, except for the last flush.
type faultFunc func(op string) (apply bool, err error)

// background: a transaction is never interrupted by the context of a caller.
var background = context.Background()

func newWriteConn(db *sql.DB, fault faultFunc) (*writeConn, error) {
	c, err := db.Conn(background)
	if err != nil {
		return nil, err
	}
	return &writeConn{conn: c, stmts: make(map[string]*sql.Stmt), fault: fault}, nil
}

// drop closes the underlying connection, whatever state it is in.
func (w *writeConn) drop() {
	_ = w.exec("rollback", "ROLLBACK")
	for _, s := range w.stmts {
		_ = s.Close()
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.Close()
}

// prepare keeps a statement for this query in stmts until drop.
func (w *writeConn) prepare(query string) error {
	if w.stmts[query] != nil {
		return nil
	}
	s, err := w.conn.PrepareContext(background, query) //nolint:sqlclosecheck // closed by drop
	if err == nil {
		w.stmts[query] = s
	}
	return err
}

func (w *writeConn) exec(op, query string, args ...any) error {
	do := func() error {
		if err := w.prepare(query); err != nil {
			return err
		}
		_, err := w.stmts[query].ExecContext(background, args...)
		return err
	}
	if w.fault == nil {
		return do()
	}
	apply, reported := w.fault(op)
	if apply {
		if err := do(); err != nil {
			return err
		}
	}
	return reported
}

// written returns the number of pages written to the write-ahead log since the last
// call.
func (w *writeConn) written() (pages int, err error) {
	err = w.conn.Raw(func(c any) error {
		s, ok := c.(sqlite.DBStatus)
		if !ok {
			return errors.New("the driver does not count pages")
		}
		pages, _, err = s.Status(sqlite.DBStatusCacheWrite, true)
		return err
	})
	return pages, err
}

// checkpoint copies as much of the write-ahead log into the database as readers
// allow.
func (w *writeConn) checkpoint() error {
	var busy, logged, done int
	row, err := w.row("PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		return err
	}
	return row.Scan(&busy, &logged, &done)
}

func (w *writeConn) row(query string, args ...any) (*sql.Row, error) {
	if err := w.prepare(query); err != nil {
		return nil, err
	}
	return w.stmts[query].QueryRowContext(background, args...), nil
}

func (w *writeConn) query(query string, args ...any) (*sql.Rows, error) {
	if err := w.prepare(query); err != nil {
		return nil, err
	}
	return w.stmts[query].QueryContext(background, args...)
}
