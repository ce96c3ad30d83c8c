package keyholder

import "encoding/binary"

// statsFields is the number of figures in TaggerStats.
const statsFields = 10

// TaggerStats are the figures of a tagger since its start. Every issued request
// ends in one of Redeemed, Cancelled and Expired or is Pending.
type TaggerStats struct {
	Issued     uint64
	Redeemed   uint64 // tags used up
	Cancelled  uint64
	Expired    uint64 // deadlines passed with the tag unused
	Pending    uint64 // requests whose tag can still be used
	Remembered uint64 // requests in the table, used and cancelled ones included

	// Redemptions that were not ok, by answer.
	Mismatched uint64
	Unknown    uint64
	Reused     uint64
	Late       uint64
}

func (s *TaggerStats) fields() [statsFields]*uint64 {
	return [...]*uint64{
		&s.Issued, &s.Redeemed, &s.Cancelled, &s.Expired, &s.Pending, &s.Remembered,
		&s.Mismatched, &s.Unknown, &s.Reused, &s.Late,
	}
}

func (s *TaggerStats) encode() []byte {
	b := make([]byte, 0, 8*statsFields)
	for _, v := range s.fields() {
		b = binary.BigEndian.AppendUint64(b, *v)
	}
	return b
}

func parseStats(f *frame) TaggerStats {
	var s TaggerStats
	for i, v := range s.fields() {
		*v = binary.BigEndian.Uint64(f.body[8*i:])
	}
	return s
}
