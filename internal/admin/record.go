package admin

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/terradourada/td/internal/journal"
)

// record is what the rows of the audit say about incidents: the kind of one is in its row,
// and only there.
type record struct {
	mu        sync.Mutex // guards what follows
	last      uint64     // id of the last row that was read
	incidents []Incident // the oldest first
}

// catchUp reads the rows that were written since the last call.
func (r *record) catchUp(ctx context.Context, j Journal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		rows, err := j.AuditRows(ctx, r.last, maxRows)
		if err != nil {
			return err
		}
		for i := range rows {
			r.apply(&rows[i])
		}
		if len(rows) < maxRows {
			return nil
		}
	}
}

// maxRows is how many rows are read at once.
const maxRows = 4096

func (r *record) apply(row *journal.AuditRow) {
	r.last = row.ID
	if row.Seq == nil {
		return
	}
	switch row.Action {
	case "incident/open":
		kind, _, _ := strings.Cut(row.Target, " ")
		r.incidents = append(r.incidents, Incident{
			Index: *row.Seq, Kind: kind, Opened: row.Time.UTC(), Actor: row.Actor, Reason: row.Reason,
		})
	case "incident/close":
		index, err := strconv.ParseUint(row.Target, 10, 64)
		i := slices.IndexFunc(r.incidents, func(one Incident) bool { return one.Index == index })
		if err == nil && i >= 0 {
			r.incidents[i].Closed = row.Seq
		}
	}
}

// list returns the incidents, the newest first; only those that are open if open is set.
func (r *record) list(open bool) []Incident {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []Incident{}
	for _, one := range slices.Backward(r.incidents) {
		if one.Closed == nil {
			if k := kindOf(one.Kind); k != nil {
				one.Left = k.checks
			}
		}
		if one.Closed == nil || !open {
			all = append(all, one)
		}
	}
	return all
}

// row returns the id of the last row that was read.
func (r *record) row() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
