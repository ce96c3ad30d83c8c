package anomaly

import (
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Detector is the kind of detector that a verdict comes from.
type Detector uint8

// The detectors.
const (
	Series Detector = iota + 1
	Rate
	Correlate
	Impossible
	Prover
	Behaviour
)

var detectorText = [...]string{Series: "series", Rate: "rate", Correlate: "correlate", Impossible: "impossible", Prover: "prover", Behaviour: "behaviour"}

// String returns the stable name of the detector.
func (d Detector) String() string {
	if int(d) < len(detectorText) && detectorText[d] != "" {
		return detectorText[d]
	}
	return "unknown"
}

// DetectorOf returns the detector with a stable name, 0 if there is none.
func DetectorOf(name string) Detector {
	for d, text := range detectorText {
		if text == name && text != "" {
			return Detector(d)
		}
	}
	return 0
}

// Fact is one number behind a verdict, as text. Evidence holds no secret and no part of an
// event: what it names is what events name.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Verdict is one finding of a detector.
type Verdict struct {
	At       time.Time
	Since    time.Time // when what it describes began, as far as the detector can say
	Detector Detector
	Kind     string          // stable name of the finding within its detector, such as "drift"
	Scope    string          // "server", "client:NAME", "network:PREFIX", "claim:ID" or "prover:NAME"
	Cause    telemetry.Cause // of the failures that it is about, or NoCause
	Observed float64
	Expected float64
	Score    float64 // 1 is the threshold
	Sentence string  // for people, with the numbers and how sure it is
	Runbook  string  // file in docs/runbooks
	Evidence []Fact  // at most 16
}
