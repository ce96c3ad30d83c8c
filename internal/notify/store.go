package notify

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// Sizes of the store.
const (
	slotSize = 16 << 10
	slots    = 256
	headSize = 20
	maxSinks = 16

	// StoreSize bounds the file, in bytes.
	StoreSize = slotSize * slots

	// MaxBody bounds the body of a message, in bytes, so that it fits a slot.
	MaxBody = 8 << 10
)

// Kinds of slots.
const (
	slotFree    = 0
	slotSink    = 1
	slotMessage = 2
)

// file is what a store needs of its file.
type file interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// sink is a sink with its secret, as it is stored.
type sink struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	URL    string `json:"url"`
	Secret []byte `json:"secret,omitempty"` // of a webhook

	slot int
}

// queued is a message that waits for one sink, as it is stored.
type queued struct {
	Sink    string `json:"sink"`
	ID      string `json:"id"` // webhook-id
	Created int64  `json:"created_ms"`
	Body    []byte `json:"body"`

	slot int
	seq  uint64
}

// store keeps sinks and messages. It is used by one goroutine at a time.
type store struct {
	f        file
	kinds    [slots]byte
	sinks    []*sink
	messages []*queued // the oldest first
	seq      uint64
	dropped  map[string]uint64 // by sink: messages for which there was no room
}

// openStore reads what is stored. Messages whose sink is gone are freed.
func openStore(f file) (*store, error) {
	s := &store{f: f, dropped: make(map[string]uint64)}
	for i := range slots {
		if err := s.load(i); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.messages, func(a, b *queued) int { return cmp.Compare(a.seq, b.seq) })
	for _, q := range slices.Clone(s.messages) {
		if s.sink(q.Sink) == nil {
			s.remove(q)
		}
	}
	return s, nil
}

// load reads one slot. One that does not make sense is free.
func (s *store) load(i int) error {
	b := make([]byte, slotSize)
	n, err := s.f.ReadAt(b, int64(i)*slotSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("notify: store: %w", err)
	}
	if b = b[:n]; n < headSize {
		return nil
	}
	length := int(binary.BigEndian.Uint32(b[16:]))
	if length > n-headSize || crc32.Checksum(b[4:headSize+length], castagnoli) != binary.BigEndian.Uint32(b) {
		return nil
	}
	seq, payload := binary.BigEndian.Uint64(b[8:]), b[headSize:headSize+length]
	switch b[4] {
	case slotSink:
		one := &sink{slot: i}
		if json.Unmarshal(payload, one) == nil && len(s.sinks) < maxSinks {
			s.sinks, s.kinds[i] = append(s.sinks, one), slotSink
		}
	case slotMessage:
		one := &queued{slot: i, seq: seq}
		if json.Unmarshal(payload, one) == nil {
			s.messages, s.kinds[i] = append(s.messages, one), slotMessage
		}
	}
	s.seq = max(s.seq, seq)
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// write writes a slot and waits for the disk.
func (s *store) write(i int, kind byte, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(payload) > slotSize-headSize {
		return fmt.Errorf("notify: %d bytes do not fit a slot", len(payload))
	}
	s.seq++
	b := make([]byte, headSize, headSize+len(payload))
	b[4] = kind
	binary.BigEndian.PutUint64(b[8:], s.seq)
	binary.BigEndian.PutUint32(b[16:], uint32(len(payload)))
	b = append(b, payload...)
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	if _, err := s.f.WriteAt(b, int64(i)*slotSize); err != nil {
		return fmt.Errorf("notify: store: %w", err)
	}
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("notify: store: %w", err)
	}
	s.kinds[i] = kind
	return nil
}

// free frees a slot; the payload of a sink, which holds a secret, is overwritten.
func (s *store) free(i int) error {
	size := headSize
	if s.kinds[i] == slotSink {
		size = slotSize
	}
	s.kinds[i] = slotFree
	_, err := s.f.WriteAt(make([]byte, size), int64(i)*slotSize)
	return err
}

// slot returns a free slot. The oldest message makes room if there is none.
func (s *store) slot() (int, error) {
	if i := slices.Index(s.kinds[:], slotFree); i >= 0 {
		return i, nil
	}
	if len(s.messages) == 0 {
		return 0, errors.New("notify: the store is full of sinks")
	}
	oldest := s.messages[0]
	s.remove(oldest)
	s.dropped[oldest.Sink]++
	return oldest.slot, nil
}

func (s *store) sink(id string) *sink {
	if i := slices.IndexFunc(s.sinks, func(o *sink) bool { return o.ID == id }); i >= 0 {
		return s.sinks[i]
	}
	return nil
}

// addSink stores a sink.
func (s *store) addSink(one *sink) error {
	if len(s.sinks) >= maxSinks {
		return fmt.Errorf("there are %d sinks already", maxSinks)
	}
	i, err := s.slot()
	if err != nil {
		return err
	}
	if err := s.write(i, slotSink, one); err != nil {
		return err
	}
	one.slot = i
	s.sinks = append(s.sinks, one)
	return nil
}

// removeSink removes a sink with its messages and waits for the disk.
func (s *store) removeSink(id string) error {
	one := s.sink(id)
	if one == nil {
		return errNoSink
	}
	for _, q := range slices.Clone(s.messages) {
		if q.Sink == id {
			s.remove(q)
		}
	}
	s.sinks = slices.DeleteFunc(s.sinks, func(o *sink) bool { return o == one })
	if err := s.free(one.slot); err != nil {
		return fmt.Errorf("notify: store: %w", err)
	}
	return s.f.Sync()
}

var errNoSink = errors.New("there is no sink of this id")

// enqueue stores a message for a sink, unless it is there already.
func (s *store) enqueue(q *queued) error {
	if slices.ContainsFunc(s.messages, func(o *queued) bool { return o.Sink == q.Sink && o.ID == q.ID }) {
		return nil
	}
	i, err := s.slot()
	if err != nil {
		return err
	}
	if err := s.write(i, slotMessage, q); err != nil {
		return err
	}
	q.slot, q.seq = i, s.seq
	s.messages = append(s.messages, q)
	return nil
}

// remove frees the slot of a message. It does not wait for the disk: a message that comes
// back is delivered twice, with the same id. An error leaves the same.
func (s *store) remove(q *queued) {
	if i := slices.Index(s.messages, q); i >= 0 {
		s.messages = slices.Delete(s.messages, i, i+1)
		_ = s.free(q.slot)
	}
}

// next returns the oldest message of a sink, nil if there is none, and how many wait.
func (s *store) next(id string) (first *queued, waiting int) {
	for _, q := range s.messages {
		if q.Sink == id {
			if waiting++; first == nil {
				first = q
			}
		}
	}
	return first, waiting
}
