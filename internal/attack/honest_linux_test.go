package attack_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"time"

	"github.com/terradourada/td/api"
)

const (
	honestPause  = 700 * time.Millisecond // between two rounds
	honestWithin = 5 * time.Second
	eventEvery   = 4 // rounds between two events that the server proves
)

// honest is a client that asks for a little of everything, over a connection that it keeps
// and over a new one in turn.
type honest struct {
	address string
	source  net.IP
	ready   []*answer
	receipt []byte
	kept    *conn
	rounds  int
}

// served is what an honest client got.
type served struct {
	count   int
	took    []float64      // milliseconds
	refused map[string]int // by request and code
}

// newHonest prepares what the client sends.
func (p *part) newHonest(s *server, source string) *honest {
	p.Helper()
	n := 1 + 14*int(p.flood/honestPause)
	if p.short {
		n = 6
	}
	ready, err := prove(p.Context(), s.Client, n)
	p.must(err)
	_, err = s.Send(p.Context(), ready[0].id, ready[0].tag, ready[0].proof, 0)
	p.must(err)
	r, err := s.Receipt(p.Context(), ready[0].id, 20*time.Second)
	p.must(err)
	h := &honest{address: s.address, source: net.ParseIP(source), ready: ready[1:]}
	h.receipt, err = r.Encode()
	p.must(err)
	return h
}

func (h *honest) close() {
	if h.kept != nil {
		_ = h.kept.Close()
		h.kept = nil
	}
}

// keepOn sends rounds of requests until ctx ends; the first one after a while.
func (h *honest) keepOn(ctx context.Context, after time.Duration) *served {
	got := &served{refused: map[string]int{}}
	pause := time.NewTimer(after)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return got
		case <-pause.C:
		}
		for _, r := range h.round() {
			h.ask(got, r)
		}
		pause.Reset(honestPause)
	}
}

// honestRequest is a request with the status of its answer.
type honestRequest struct {
	name   string
	bytes  []byte
	status int
}

// round returns the requests of one round.
func (h *honest) round() []honestRequest {
	h.rounds++
	all := []honestRequest{
		{"status", request(http.MethodGet, "/v1/status", "", nil), http.StatusOK},
		{"checkpoint", request(http.MethodGet, "/checkpoint", "", nil), http.StatusOK},
		{"challenge", openRequest(randomCommitment(), challengeLife), http.StatusCreated},
		{"verify", request(http.MethodPost, "/v1/verify", api.MediaReceipt, h.receipt), http.StatusOK},
	}
	if len(h.ready) > 0 {
		all, h.ready = append(all, honestRequest{"proof", h.ready[0].request(), http.StatusCreated}), h.ready[1:]
	}
	if h.rounds%eventEvery == 1 {
		body, err := json.Marshal(&api.EventRequest{Claim: "open/1", Params: []byte(`{}`), Event: []byte(`{"lot":1}`)})
		if err != nil {
			panic(err) // it has no value that JSON cannot hold
		}
		all = append(all, honestRequest{"event", request(http.MethodPost, "/v1/events", api.MediaJSON, body, "Prefer: respond-async"), http.StatusAccepted})
	}
	return all
}

// ask sends one request and notes whether it was served. A connection that was kept may
// have been closed meanwhile; then it is sent again over a new one.
func (h *honest) ask(got *served, r honestRequest) {
	began := time.Now()
	kept := h.kept != nil && !h.kept.broken && h.rounds%2 == 1
	answer, err := h.send(r.bytes, kept)
	if err != nil && kept {
		answer, err = h.send(r.bytes, false)
	}
	switch {
	case err != nil:
		got.refused[r.name+": "+reason(err)]++
	case answer.status != r.status:
		got.refused[r.name+": "+answer.code]++
	default:
		got.count++
		got.took = append(got.took, millis(time.Since(began)))
	}
}

// send sends a request over the connection that was kept, or over a new one.
func (h *honest) send(request []byte, kept bool) (reply, error) {
	if !kept {
		h.close()
		fresh, err := dialFrom(context.Background(), h.address, h.source)
		if err != nil {
			return reply{}, err
		}
		h.kept = fresh
	}
	return h.kept.do(request, honestWithin)
}
