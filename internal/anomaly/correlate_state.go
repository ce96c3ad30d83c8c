package anomaly

import (
	"net/netip"
	"strconv"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

const correlationState = "td-correlation/1"

// Save returns the state: what is usual, with the names of the most frequent clients,
// networks and claims. The windows of the last day and the chains are not in it, since the
// hashes of different sources have a key that is never saved. After a restart, numbers of
// different sources and failures of windows begin at zero.
func (c *Correlation) Save() []byte {
	w := new(saver)
	w.text(correlationState)
	n := 0
	for _, cell := range c.usual.cells {
		if cell != nil {
			n++
		}
	}
	w.count(n)
	for i, cell := range c.usual.cells {
		if cell != nil {
			w.text(cellName(i))
			c.saveCell(w, cell)
		}
	}
	return w.b
}

func (c *Correlation) saveCell(w *saver, cell *cell) {
	w.count(int(cell.failures))
	for d := range dimensions {
		h := &cell.values[d]
		w.count(int(h.total))
		w.count(len(h.keys))
		for i, key := range h.keys {
			w.text(c.text(d, key))
			w.count(int(h.count[i]))
			w.count(int(h.over[i]))
		}
	}
}

// cellName returns the name of a cell: that of its cause, or of its group of successes.
func cellName(i int) string {
	if i < causes {
		return telemetry.Cause(i).String()
	}
	return "success " + amongText[i-causes]
}

// Restore replaces what is usual by a saved state, and empties the windows. After an error
// the state is unchanged.
func (c *Correlation) Restore(b []byte) error {
	from, n := restore(b, correlationState), newCorrelation(c.rates, c.hash)
	for range from.count(causes + exposures) {
		i := cellNamed(from.text(mostText))
		if i < 0 || n.usual.cells[i] != nil {
			from.failed = true
			break
		}
		n.usual.cells[i] = n.restoreCell(from)
	}
	if err := from.end(); err != nil {
		return err
	}
	*c = *n
	return nil
}

const mostCount = 1<<32 - 1

func (c *Correlation) restoreCell(from *restorer) *cell {
	cell := &cell{failures: uint32(from.count(mostCount))}
	for d := range dimensions {
		h := &cell.values[d]
		h.total = uint32(from.count(mostCount))
		for range from.count(sizes[d]) {
			key := c.keyOf(d, from.text(mostText))
			n := uint32(from.count(mostCount))
			over := uint32(from.count(int(n)))
			if least, most := h.of(key, sizes[d]); key == 0 || least+most > 0 {
				from.failed = true
				return cell
			}
			h.keys, h.count, h.over = append(h.keys, key), append(h.count, n), append(h.over, over)
		}
	}
	return cell
}

func cellNamed(name string) int {
	for i := range causes + exposures {
		if cellName(i) == name && (i >= causes || watched(telemetry.Cause(i))) {
			return i
		}
	}
	return -1
}

// keyOf returns the key of a value of a dimension, 0 if it is none.
func (c *Correlation) keyOf(d dimension, text string) uint64 {
	switch d {
	case byNetwork:
		p, err := netip.ParsePrefix(text)
		if err != nil || networkOf(p.Addr()) != p {
			return 0
		}
		return networkKey(p)
	case byEpoch:
		n, err := strconv.ParseUint(text, 10, 53)
		if err != nil {
			return 0
		}
		return n + 1
	case byCode:
		code, ok := protocol.ParseCode(text)
		if text == protocol.CodeNone.String() {
			code, ok = protocol.CodeNone, true
		}
		if !ok {
			return 0
		}
		return uint64(code) + 1
	default:
		return c.names.key(text)
	}
}
