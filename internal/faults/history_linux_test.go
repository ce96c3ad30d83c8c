package faults_test

import (
	"sync"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// history is the record of the answers that the clients of one log received.
type history struct {
	trust *receipt.TrustStore // by a client that no fault affects

	mu    sync.Mutex
	acked map[protocol.RequestID]*acked
	moved map[protocol.RequestID]bool // acknowledged with two indexes
	own   map[protocol.RequestID]bool // requests that this harness made itself
}

// acked is one acknowledged answer.
type acked struct {
	index   uint64
	at      int  // operations that the disk had completed
	checked bool // its receipt was verified once
}

func newHistory(dir string) (*history, error) {
	trust, err := receipt.OpenTrust(dir)
	return &history{
		trust: trust, acked: map[protocol.RequestID]*acked{},
		moved: map[protocol.RequestID]bool{}, own: map[protocol.RequestID]bool{},
	}, err
}

// note records an acknowledgement, with the number of operations that the disk
// had completed when it was received.
func (h *history) note(a *client.Accepted, at int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if before := h.acked[a.RequestID]; before == nil {
		h.acked[a.RequestID] = &acked{index: a.Index, at: at}
	} else if before.index != a.Index {
		h.moved[a.RequestID] = true
	}
}

// cutAt forgets what was acknowledged after the power cut.
func (h *history) cutAt(k int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, a := range h.acked {
		if a.at > k {
			delete(h.acked, id)
		}
		a.at = 0 // the next log of the disk begins with it
	}
}

func (h *history) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.acked)
}

// leaves returns the accepted leaves of a journal, with the index of each
// request.
type leaves map[protocol.RequestID][]uint64

// judge returns the acknowledged answers that are not where they should be, and
// the requests that were accepted or acknowledged more than once.
func (h *history) judge(found leaves) (lost, doubled []protocol.RequestID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, a := range h.acked {
		if at := found[id]; len(at) == 0 || len(at) == 1 && at[0] != a.index {
			lost = append(lost, id)
		}
	}
	for id, at := range found {
		if len(at) > 1 {
			doubled = append(doubled, id)
		}
	}
	for id := range h.moved {
		if len(found[id]) < 2 {
			doubled = append(doubled, id)
		}
	}
	return lost, doubled
}

// made records a request of the harness itself.
func (h *history) made(id protocol.RequestID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.own[id] = true
}

// foreign returns the accepted requests that the harness did not make itself.
func (h *history) foreign(found leaves) (ids []protocol.RequestID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range found {
		if !h.own[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// unchecked returns the requests whose receipts were not verified yet, and some
// others.
func (h *history) unchecked(others int) (ids []protocol.RequestID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, a := range h.acked { // in random order
		switch {
		case !a.checked:
			ids = append(ids, id)
		case others > 0:
			ids, others = append(ids, id), others-1
		}
	}
	return ids
}

// receipted records that the receipt of a request was verified, and reports
// whether it is for the index that was acknowledged.
func (h *history) receipted(id protocol.RequestID, index uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[id].checked = true
	return h.acked[id].index == index
}
