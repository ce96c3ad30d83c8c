package notify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Kinds of sinks.
const (
	KindWebhook      = "webhook"
	KindAlertmanager = "alertmanager"
)

// Sink is a sink as the core shows it: without its secret, and without the path of its
// URL, which may be one.
type Sink struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	Target    string     `json:"target"`
	Waiting   int        `json:"waiting"`            // messages that are not delivered yet
	Delivered uint64     `json:"delivered"`          // since the notifier runs
	Failed    uint64     `json:"failed"`             // attempts, since the notifier runs
	Dropped   uint64     `json:"dropped"`            // messages that were given up
	LastError string     `json:"last_error"`         // of the last attempt; "" if it succeeded
	Success   *time.Time `json:"success,omitempty"`  // last
	Failing   *time.Time `json:"failing,omitempty"`  // since; nil if the last attempt succeeded
	Attempt   *time.Time `json:"next_try,omitempty"` // next, while it fails
}

// state is what is known of a sink in this process.
type state struct {
	Sink
	wake    chan struct{} // one element when there may be work
	now     chan struct{} // one element when the receiver is known to answer again
	stop    context.CancelFunc
	beating atomic.Bool // an attempt of a heartbeat is under way
	body    []byte      // of the last sync of an Alertmanager that it has not taken
	version uint64      // of body
}

// pauses are the times of retries.
type pauses struct {
	first, most time.Duration // grows twofold from one to the other
	giveUp      time.Duration // age of a message that is not tried again
}

var usualPauses = pauses{first: time.Second, most: time.Hour, giveUp: 72 * time.Hour}

// deliverer delivers messages. Each sink has one goroutine, which ends with the sink or
// with run.
type deliverer struct {
	http    *http.Client
	allowed *Allowed
	pauses  pauses
	now     func() time.Time

	mu     sync.Mutex // guards what follows
	store  *store
	states map[string]*state
	life   context.Context //nolint:containedctx // of run; what is started later ends with it
	work   sync.WaitGroup
}

func newDeliverer(ctx context.Context, client *http.Client, allowed *Allowed, s *store, p pauses) *deliverer {
	d := &deliverer{http: client, allowed: allowed, pauses: p, now: time.Now, store: s, states: make(map[string]*state), life: ctx}
	for _, one := range s.sinks {
		d.begin(one)
	}
	return d
}

// begin starts the goroutine of a sink. The lock is held, or there is no other user yet.
func (d *deliverer) begin(one *sink) {
	u, err := url.Parse(one.URL)
	if err != nil {
		return // it was checked when it was added
	}
	ctx, cancel := context.WithCancel(d.life) //nolint:gosec // the sink calls it when it is removed, and it ends with its parent
	st := &state{Sink: Sink{ID: one.ID, Kind: one.Kind, Target: u.Scheme + "://" + u.Host}, wake: make(chan struct{}, 1), now: make(chan struct{}, 1), stop: cancel}
	d.states[one.ID] = st
	d.work.Go(func() { d.deliver(ctx, one, st) })
	poke(st.wake)
}

// poke puts an element into a channel that has room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wait waits until every goroutine has ended.
func (d *deliverer) wait() { d.work.Wait() }

// deliver delivers to one sink until ctx ends. A failed attempt is repeated after a pause
// that doubles; the messages of a sink keep their order.
func (d *deliverer) deliver(ctx context.Context, one *sink, st *state) {
	pause := d.pauses.first
	for {
		select {
		case <-ctx.Done():
			return
		case <-st.wake:
		}
		for ctx.Err() == nil {
			worked, err := d.step(ctx, one, st)
			if !worked {
				break
			}
			if err == nil {
				pause = d.pauses.first
				continue
			}
			d.retryAt(st, d.now().Add(pause))
			late := time.NewTimer(pause)
			select {
			case <-ctx.Done():
			case <-late.C:
			case <-st.now:
			}
			late.Stop()
			pause = min(2*pause, d.pauses.most)
			if one.Kind == KindAlertmanager {
				pause = min(pause, time.Minute) // its state is sent anew that often
			}
		}
	}
}

func (d *deliverer) retryAt(st *state, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	st.Attempt = &at
}

// step makes one attempt for a sink. worked is false if there is nothing to deliver.
func (d *deliverer) step(ctx context.Context, one *sink, st *state) (worked bool, err error) {
	if one.Kind == KindAlertmanager {
		d.mu.Lock()
		body, version := st.body, st.version
		d.mu.Unlock()
		if body == nil {
			return false, nil
		}
		err = d.post(ctx, one, "", body)
		d.mu.Lock()
		if err == nil && st.version == version {
			st.body = nil
		}
		d.mu.Unlock()
		d.note(ctx, st, true, err)
		return true, err
	}
	d.mu.Lock()
	q, _ := d.store.next(one.ID)
	d.mu.Unlock()
	if q == nil {
		return false, nil
	}
	err = d.post(ctx, one, q.ID, q.Body)
	old := d.now().Sub(time.UnixMilli(q.Created)) > d.pauses.giveUp
	d.note(ctx, st, true, err)
	if gone := errors.Is(err, errGone); err != nil && !gone && !old || ctx.Err() != nil {
		return true, err
	}
	d.mu.Lock()
	d.store.remove(q)
	if err != nil {
		st.Dropped++
	}
	d.mu.Unlock()
	return true, err
}

// note records the outcome of an attempt. One that was broken off has none. A heartbeat
// or a test that arrives does not hide that a message is refused.
func (d *deliverer) note(ctx context.Context, st *state, message bool, err error) {
	if ctx.Err() != nil {
		return
	}
	now := d.now().UTC()
	d.mu.Lock()
	defer d.mu.Unlock()
	st.Attempt = nil
	if err == nil {
		st.Delivered++
		st.Success = &now
		if first, _ := d.store.next(st.ID); message || first == nil {
			st.LastError, st.Failing = "", nil
		}
		return
	}
	st.Failed++
	st.LastError = err.Error()[:min(len(err.Error()), 200)]
	if st.Failing == nil {
		st.Failing = &now
	}
}

// errGone is the answer of a receiver that wants no more of a message.
var errGone = errors.New("the receiver answered 410")

// post makes one attempt. Everything but a status of 2xx is an error.
func (d *deliverer) post(ctx context.Context, one *sink, id string, body []byte) error {
	target := one.URL
	if one.Kind == KindAlertmanager {
		target = strings.TrimSuffix(target, "/") + "/api/v2/alerts"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if one.Kind == KindWebhook {
		at := d.now()
		r.Header.Set("webhook-id", id)
		r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
		r.Header.Set("webhook-signature", signature(one.Secret, id, at, body))
	}
	resp, err := d.send(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // what it says besides is not used
	switch {
	case resp.StatusCode == http.StatusGone:
		return errGone
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("the receiver answered %d", resp.StatusCode)
	}
	return nil
}

// added is the answer to an addition.
type added struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"`
}

// handle carries out one request of the core.
func (d *deliverer) handle(ctx context.Context, r *request) (any, error) {
	switch r.Op {
	case opSinks:
		return d.list(), nil
	case opAdd:
		var one sink
		if json.Unmarshal(r.Body, &one) != nil {
			return nil, errFrame
		}
		return d.add(one.Kind, one.URL)
	case opRemove:
		var one sink
		if json.Unmarshal(r.Body, &one) != nil {
			return nil, errFrame
		}
		return nil, d.remove(one.ID)
	case opForward:
		var f forward
		if json.Unmarshal(r.Body, &f) != nil {
			return nil, errFrame
		}
		return d.forward(ctx, &f)
	}
	var m message
	if json.Unmarshal(r.Body, &m) != nil || len(m.Body) == 0 || r.Op != opSync && len(m.Body) > MaxBody {
		return nil, errFrame
	}
	switch r.Op {
	case opNotice:
		return nil, d.notice(&m)
	case opHeartbeat:
		d.heartbeat(&m)
		return nil, nil
	case opSync:
		d.sync(m.Body)
		return nil, nil
	case opTest:
		return nil, d.test(ctx, &m)
	}
	return nil, errFrame
}

func (d *deliverer) list() []Sink {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []Sink{}
	for _, one := range d.store.sinks {
		st := d.states[one.ID]
		if st == nil {
			continue
		}
		shown := st.Sink
		shown.Dropped += d.store.dropped[one.ID]
		_, shown.Waiting = d.store.next(one.ID)
		if st.body != nil {
			shown.Waiting++
		}
		all = append(all, shown)
	}
	return all
}

// add adds a sink. The secret of a webhook is drawn here, and returned once.
func (d *deliverer) add(kind, target string) (*added, error) {
	if kind != KindWebhook && kind != KindAlertmanager {
		return nil, fmt.Errorf("a sink is of kind %s or %s", KindWebhook, KindAlertmanager)
	}
	if _, err := d.allowed.CheckURL(target); err != nil {
		return nil, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never returns an error, see crypto/rand
	one := &sink{ID: hex.EncodeToString(id[:]), Kind: kind, URL: target}
	a := &added{ID: one.ID}
	if kind == KindWebhook {
		one.Secret = make([]byte, secretSize)
		_, _ = rand.Read(one.Secret) // the same
		a.Secret = secretText(one.Secret)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.store.addSink(one); err != nil {
		return nil, err
	}
	d.begin(one)
	return a, nil
}

func (d *deliverer) remove(id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.store.removeSink(id); err != nil {
		return err
	}
	if st := d.states[id]; st != nil {
		st.stop()
		delete(d.states, id)
	}
	return nil
}

// notice stores a message for every webhook.
func (d *deliverer) notice(m *message) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, one := range d.store.sinks {
		if one.Kind == KindWebhook {
			errs = append(errs, d.store.enqueue(&queued{Sink: one.ID, ID: m.ID, Created: d.now().UnixMilli(), Body: m.Body}))
			poke(d.states[one.ID].wake)
		}
	}
	return errors.Join(errs...)
}

// sync replaces the state that Alertmanagers are sent.
func (d *deliverer) sync(body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, st := range d.states {
		if st.Kind == KindAlertmanager {
			st.body = body
			st.version++
			poke(st.wake)
		}
	}
}

// heartbeat begins one attempt for every webhook that is not at an earlier one. A
// heartbeat that is late would say that the server lives when it does not, so it is
// neither stored nor repeated.
func (d *deliverer) heartbeat(m *message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.store.sinks {
		st := d.states[one.ID]
		if one.Kind != KindWebhook || st == nil || !st.beating.CompareAndSwap(false, true) {
			continue
		}
		d.work.Go(func() {
			defer st.beating.Store(false)
			_ = d.attempt(d.life, one, st, m) // the sink says how it went
		})
	}
}

// test makes one attempt for one sink.
func (d *deliverer) test(ctx context.Context, m *message) error {
	d.mu.Lock()
	one, st := d.store.sink(m.Sink), d.states[m.Sink]
	d.mu.Unlock()
	if one == nil || st == nil {
		return errNoSink
	}
	return d.attempt(ctx, one, st, m)
}

// attempt makes one attempt for a message that is not stored. If it succeeds, what waits
// is tried at once.
func (d *deliverer) attempt(ctx context.Context, one *sink, st *state, m *message) error {
	err := d.post(ctx, one, m.ID, m.Body)
	d.note(ctx, st, false, err)
	if err == nil {
		poke(st.now)
	}
	return err
}
