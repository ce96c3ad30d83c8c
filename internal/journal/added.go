package journal

import (
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/protocol"
)

// ReasonAdded is the reason code of a freeze by the core itself, because the id of a claim
// was frozen before this fingerprint of it was added to the log.
const ReasonAdded = 4

// freezeAdded freezes a new fingerprint of a claim id as the id is frozen: the same
// operations, until the same time.
func (g *group) freezeAdded(now time.Time, id string, vk protocol.Digest) error {
	for _, operation := range [...]Operation{Accept, Issue} {
		until, frozen := g.frozenID(operation, id)
		if !frozen {
			continue
		}
		_, err := g.core(now, &Request{Action: "freeze", Reason: "the claim id was frozen before this claim was added", Until: until},
			Hold{operation, vk}, protocol.Control{Action: operation.freeze(), Reason: ReasonAdded})
		if err != nil {
			return err
		}
	}
	return g.err
}

// frozenID reports whether a freeze of a claim id is in force, for one fingerprint of it at
// least, and when it ends; zero means never.
func (g *group) frozenID(operation Operation, id string) (until time.Time, frozen bool) {
	if !slices.ContainsFunc(g.state.Holds, func(h Hold) bool { return h.Operation == operation && h.VK != (protocol.Digest{}) }) {
		return until, false
	}
	held := g.byID(operation, id)
	for i, h := range held.Holds {
		end := held.Until[h]
		if i == 0 || end.IsZero() || !until.IsZero() && end.After(until) {
			until = end
		}
	}
	return until, len(held.Holds) > 0
}

// byID returns the holds that freezes of a claim id have begun. Only the rows name the id.
func (g *group) byID(operation Operation, id string) (held State) {
	if g.err != nil {
		return held
	}
	query := func(text string) (*sql.Rows, error) { return g.w.query(text) }
	g.err = eachRow(query, `SELECT target, until, leaf FROM audit JOIN leaves USING (seq)
		WHERE action IN ('freeze', 'thaw') ORDER BY seq`, func(rows *sql.Rows) error {
		var target string
		var until int64
		var b []byte
		if err := rows.Scan(&target, &until, &b); err != nil {
			return err
		}
		leaf, err := protocol.ParseLeaf(b)
		if err != nil {
			return err
		}
		c, ok := leaf.Body.(*protocol.Control)
		_, of, _ := strings.Cut(target, " ")
		switch {
		case ok && c.Action == operation.thaw():
			held.drop(Hold{operation, c.Target})
		case ok && c.Action == operation.freeze() && of == id:
			held.add(Hold{operation, c.Target}, moment(until))
		}
		return nil
	})
	return held
}
