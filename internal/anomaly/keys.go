package anomaly

import (
	"encoding/binary"
	"net/netip"
)

// names replace texts by small numbers, so that counters hold no text. Their number is
// bounded: those that come later share one name.
type names struct {
	keys  map[string]uint64
	texts []string // by key; the key 0 is no name
	free  []uint64
}

const (
	mostNames  = 4096
	otherNames = "(others)"
)

func newNames() names {
	return names{keys: map[string]uint64{"": 0, otherNames: 1}, texts: []string{"", otherNames}}
}

// key returns the key of a text, 0 for none.
func (n *names) key(text string) uint64 {
	text = text[:min(len(text), mostText)]
	if key, known := n.keys[text]; known {
		return key
	}
	key := uint64(len(n.texts))
	switch {
	case len(n.free) > 0:
		key = n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		n.texts[key] = text
	case len(n.texts) < mostNames:
		n.texts = append(n.texts, text)
	default:
		return n.keys[otherNames]
	}
	n.keys[text] = key
	return key
}

// text returns the text of a key.
func (n *names) text(key uint64) string {
	if key < uint64(len(n.texts)) {
		return n.texts[key]
	}
	return ""
}

// full reports whether little room is left.
func (n *names) full() bool { return len(n.keys) > mostNames*3/4 }

// keep drops the names whose keys are not used.
func (n *names) keep(used map[uint64]bool) {
	for text, key := range n.keys {
		if key > 1 && !used[key] {
			delete(n.keys, text)
			n.texts[key] = ""
			n.free = append(n.free, key)
		}
	}
}

// Keys of networks hold the prefix itself, below a bit for the version.
const (
	key4 = 1 << 63
	key6 = 1 << 62
)

// networkKey returns the key of a network of [networkOf], 0 for none.
func networkKey(p netip.Prefix) uint64 {
	switch {
	case !p.IsValid():
		return 0
	case p.Addr().Is4():
		b := p.Addr().As4()
		return key4 | uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := p.Addr().As16()
	return key6 | binary.BigEndian.Uint64(b[:])>>16
}

// networkOfKey returns the network of a key.
func networkOfKey(key uint64) netip.Prefix {
	if key&key4 != 0 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(key))
		return netip.PrefixFrom(netip.AddrFrom4(b), 24)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], key<<16)
	return netip.PrefixFrom(netip.AddrFrom16(b), 48)
}
