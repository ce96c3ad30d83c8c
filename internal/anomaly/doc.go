// Package anomaly detects what is unlike the past of a server, or impossible, and explains
// it. It is pure: detectors read values and events and the time that comes with them,
// start nothing and open nothing. Package watch turns verdicts into alerts, and package
// node feeds the detectors and keeps their baselines.
//
// # Detectors
//
//   - [Series] reads the values of one measured series, tick by tick: [SeriesDetector].
//   - [Rate] reads failures of one cause beside the requests among which they occurred.
//   - [Correlate] compares failed validations across clients, networks, claims, provers,
//     epochs and codes, and across windows of time.
//   - [Impossible] is exact, and learns nothing: it reports what no honest history contains.
//   - [Prover] compares a prover, or a client that proves, with its past and with others.
//   - [Behaviour] compares a client with its own profile.
//
// # Verdicts
//
// A [Verdict] is a sentence with its numbers: what was seen, what was expected, since when,
// about what, how sure, and which runbook is meant. A score of 1 is the threshold of its
// detector.
package anomaly
