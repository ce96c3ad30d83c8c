package admin

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/protocol"
)

// Anomalies are the verdicts of the detectors of a server.
type Anomalies interface {
	// Anomalies lists stored verdicts with an id below a bound, 0 for all, the newest
	// first, at most so many. The state of the detectors goes with them.
	Anomalies(ctx context.Context, now time.Time, below uint64, most int) (*AnomalyList, error)
	// Anomaly returns one with its evidence, or not_found.
	Anomaly(ctx context.Context, now time.Time, id uint64) (*Anomaly, error)
	// AnomalyFeedback uses what an operator says of one: true, false or expected.
	AnomalyFeedback(ctx context.Context, now time.Time, id uint64, word string) error
}

// AnomalyList answers GET anomalies.
type AnomalyList struct {
	Detectors AnomalyState `json:"detectors"`
	Anomalies []Anomaly    `json:"anomalies"` // the newest first
	More      bool         `json:"more"`
}

// AnomalyState describes the detectors.
type AnomalyState struct {
	Mode       string            `json:"mode"`             // on or off
	Learning   bool              `json:"learning"`         // what is seen now becomes usual
	Paused     string            `json:"paused,omitempty"` // why nothing is learned: hold, stop, start, rotation or alert
	Series     int               `json:"series"`           // measured series with values
	SeriesWarm int               `json:"series_warm"`      // of which are past their warm-up
	Provers    int               `json:"provers"`          // pairs of a prover and a claim
	ProverWarm int               `json:"provers_warm"`
	InForce    int               `json:"in_force"` // verdicts
	Suppressed map[string]uint64 `json:"suppressed,omitempty"`
	Restored   *time.Time        `json:"restored,omitempty"` // when the baselines that the start has read were saved
}

// Anomaly is a stored verdict.
type Anomaly struct {
	ID       uint64         `json:"id"`
	At       time.Time      `json:"at"`
	Since    time.Time      `json:"since"`
	Detector string         `json:"detector"`
	Kind     string         `json:"kind"`
	Scope    string         `json:"scope"`
	Cause    string         `json:"cause"`
	Observed float64        `json:"observed"`
	Expected float64        `json:"expected"`
	Score    float64        `json:"score"`
	Sentence string         `json:"sentence"`
	Agrees   string         `json:"agrees,omitempty"` // sentence of another detector that agrees
	Runbook  string         `json:"runbook"`
	Feedback string         `json:"feedback,omitempty"`
	Evidence []anomaly.Fact `json:"evidence,omitempty"` // of one that was asked for by its id
}

// AnomalyFeedbackRequest says whether a verdict was true, false or expected.
type AnomalyFeedbackRequest struct {
	Reason
	ID      uint64 `json:"id"`
	Verdict string `json:"verdict"`
}

// number returns a parameter of the query that is a number, 0 if it is not there.
func (q *request) number(name string) (uint64, error) {
	text := q.query.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, protocol.Fail(protocol.CodeMalformedRequest, name+" is a number")
	}
	return n, nil
}

// anomalies lists verdicts, or returns the one that id names, with its evidence.
func (q *request) anomalies() (any, error) {
	if err := q.takes("below", "max", "id"); err != nil {
		return nil, err
	}
	most, err := q.pageLength()
	if err != nil {
		return nil, err
	}
	below, err := q.number("below")
	if err != nil {
		return nil, err
	}
	id, err := q.number("id")
	if err != nil {
		return nil, err
	}
	list, err := q.s.cfg.Anomalies.Anomalies(q.ctx, q.now, below, most+1)
	if err != nil {
		return nil, err
	}
	if list.More = len(list.Anomalies) > most; list.More {
		list.Anomalies = list.Anomalies[:most]
	}
	if id == 0 {
		return list, nil
	}
	one, err := q.s.cfg.Anomalies.Anomaly(q.ctx, q.now, id)
	if err != nil {
		return nil, err
	}
	list.Anomalies, list.More = []Anomaly{*one}, false
	return list, nil
}

func (q *request) anomalyFeedback(b *AnomalyFeedbackRequest) (*Done, error) {
	id := strconv.FormatUint(b.ID, 10)
	if err := plain(b.Verdict); err != nil {
		return nil, err
	}
	done, err := q.about(id, id+" "+b.Verdict, func(ctx context.Context) error {
		return q.s.cfg.Anomalies.AnomalyFeedback(ctx, q.now, b.ID, b.Verdict)
	})
	if err != nil {
		return nil, err
	}
	if one, err := q.s.cfg.Anomalies.Anomaly(q.ctx, q.now, b.ID); err == nil && one.Detector == anomaly.Impossible.String() {
		done.Detail = "an impossible event has no threshold: the feedback is stored, and the next one is reported all the same; silence the alert while a test runs"
	}
	return done, nil
}

// Anomalies lists verdicts with an id below a bound, 0 for all, the newest first.
func (c *Conn) Anomalies(ctx context.Context, below uint64, most int) (*AnomalyList, error) {
	query := url.Values{"max": {strconv.Itoa(most)}}
	if below > 0 {
		query.Set("below", strconv.FormatUint(below, 10))
	}
	return get[AnomalyList](ctx, c, "anomalies", query)
}

// Anomaly returns a verdict with its evidence.
func (c *Conn) Anomaly(ctx context.Context, id uint64) (*AnomalyList, error) {
	return get[AnomalyList](ctx, c, "anomalies", url.Values{"id": {strconv.FormatUint(id, 10)}})
}

// AnomalyFeedback says whether a verdict was true, false or expected.
func (c *Conn) AnomalyFeedback(ctx context.Context, r AnomalyFeedbackRequest) (*Done, error) {
	return post[Done](ctx, c, "anomalies/feedback", r)
}
