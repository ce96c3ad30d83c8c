package telemetry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/terradourada/td/protocol"
)

// recordName is the first value of the first line.
const recordName = "terradourada-events/1"

type recordHead struct {
	Record string    `json:"record,omitempty"`
	Began  time.Time `json:"began,omitzero"`
}

// recordLine is one line. A request has an operation, a change a kind.
type recordLine struct {
	recordHead
	At        int64   `json:"at_us"`
	Operation string  `json:"operation,omitempty"`
	Claim     string  `json:"claim,omitempty"`
	Client    string  `json:"client,omitempty"`
	Source    string  `json:"source,omitempty"`
	Code      string  `json:"code,omitempty"`
	Cause     string  `json:"cause,omitempty"`
	Status    int     `json:"status,omitempty"`
	Waited    int64   `json:"waited_us,omitempty"`
	Took      int64   `json:"took_us,omitempty"`
	Received  int64   `json:"received,omitempty"`
	Sent      int64   `json:"sent,omitempty"`
	ID        string  `json:"request_id,omitempty"`
	Answered  int64   `json:"answered_us,omitempty"`
	Verified  int64   `json:"verified_us,omitempty"`
	Mark      string  `json:"mark,omitempty"`
	Place     string  `json:"place,omitempty"`
	Kind      string  `json:"kind,omitempty"`
	Subject   string  `json:"subject,omitempty"`
	Value     float64 `json:"value,omitempty"`
	Lost      uint64  `json:"lost,omitempty"`
}

// Recorder writes a record. It is a reader of the ring.
type Recorder struct {
	private *Pseudonyms
	lost    func() uint64
	failed  func(error)

	mu    sync.Mutex // guards what follows
	to    *bufio.Writer
	began time.Time
	left  int64 // bytes that may be written
	known uint64
	err   error // after it nothing is written
}

// errFull is why a record ends.
var errFull = errors.New("the record has reached its greatest size")

// NewRecorder returns a recorder of at most size bytes. lost returns how many events were
// dropped. failed is called once, if the record ends early: it is full, or a write failed.
func NewRecorder(to io.Writer, began time.Time, size int64, private *Pseudonyms, lost func() uint64, failed func(error)) *Recorder {
	r := &Recorder{private: private, lost: lost, failed: failed, to: bufio.NewWriterSize(to, 1<<16), began: began, left: size}
	r.line(recordHead{recordName, began.UTC()})
	return r
}

// Request records a request.
func (r *Recorder) Request(q Request) {
	l := recordLine{
		At: r.since(q.At), Operation: q.Operation, Claim: q.Claim, Client: Bounded(q.Client),
		Status: q.Status, Waited: q.Waited.Microseconds(), Took: q.Took.Microseconds(),
		Received: q.Received, Sent: q.Sent, Answered: q.Answered.Microseconds(), Verified: q.Verified.Microseconds(),
	}
	if q.Source.IsValid() {
		l.Source = r.private.Of(q.Source).String()
	}
	if q.Code != protocol.CodeNone {
		l.Code, l.Cause = q.Code.String(), q.Cause.String()
	}
	if q.ID != (protocol.RequestID{}) {
		l.ID = q.ID.String()
	}
	l.Mark, l.Place = q.Mark.String(), q.Place.String()
	r.line(l)
}

// Change records a change.
func (r *Recorder) Change(c Change) {
	r.line(recordLine{At: r.since(c.At), Kind: c.Kind.String(), Subject: c.Subject, Value: c.Value})
}

func (r *Recorder) since(at time.Time) int64 { return at.Sub(r.began).Microseconds() }

// line appends one line, while there is room for it.
func (r *Recorder) line(v any) {
	b, err := json.Marshal(v)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if r.left -= int64(len(b)) + 1; r.left < 0 {
		err = errFull
	}
	if err == nil {
		_, err = r.to.Write(append(b, '\n'))
	}
	r.end(err)
}

// end ends the record after an error. The lock is held.
func (r *Recorder) end(err error) {
	if err != nil && r.err == nil {
		r.err = err
		_ = r.to.Flush() // what was written before counts
		r.failed(err)
	}
}

// Flush writes what is buffered, and how many events were dropped if there were more.
func (r *Recorder) Flush(now time.Time) {
	if lost := r.lost(); lost != r.known {
		r.known = lost
		r.line(recordLine{At: r.since(now), Lost: lost})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.end(r.to.Flush())
	}
}

// maxLine bounds a line of a record.
const maxLine = 4096

// Replay calls an observer for each event of a record, and returns how many events were
// dropped when it was written. A last line that was cut off is left out. A file may hold
// several records, one after another.
func Replay(from io.Reader, to Observer) (lost uint64, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	var head recordHead
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.Record != recordName {
		return 0, errors.New("not a record of events")
	}
	before := uint64(0) // dropped in earlier records
	for n := 2; lines.Scan(); n++ {
		var l recordLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if !lines.Scan() {
				return lost, lines.Err()
			}
			return lost, fmt.Errorf("line %d of a record: %w", n, err)
		}
		at := head.Began.Add(time.Duration(l.At) * time.Microsecond)
		switch {
		case l.Record == recordName: // another record follows
			head, before = l.recordHead, lost
		case l.Operation != "":
			to.Request(l.request(at))
		case l.Kind != "":
			to.Change(Change{At: at, Kind: kindOf(l.Kind), Subject: l.Subject, Value: l.Value})
		case l.Lost > 0:
			lost = before + l.Lost
		}
	}
	return lost, lines.Err()
}

// request returns the request of a line. What this program does not know is zero.
func (l *recordLine) request(at time.Time) Request {
	us := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	r := Request{
		At: at, Operation: l.Operation, Claim: l.Claim, Client: l.Client, Status: l.Status, Waited: us(l.Waited), Took: us(l.Took),
		Received: l.Received, Sent: l.Sent, Answered: us(l.Answered), Verified: us(l.Verified),
	}
	r.Source, _ = netip.ParseAddr(l.Source)
	if l.Code != "" {
		r.Code, _ = protocol.ParseCode(l.Code)
		r.Cause = CauseNamed(l.Cause)
	}
	r.ID, _ = protocol.Parse[protocol.RequestID](l.ID)
	r.Mark, r.Place = parseMark(l.Mark), parseMark(l.Place)
	return r
}

func kindOf(name string) Kind {
	for _, k := range Kinds() {
		if k.String() == name {
			return k
		}
	}
	return noKind
}
