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
//
// # Baselines
//
// Each learned baseline has a floor, a ceiling and a limit to the speed at which it may rise,
// so that a slow attack is not learned. Nothing is learned by a call of Tick without learn, or
// by a detector that has an alarm itself. A profile with a verdict still learns, with a bound.
// History that is short makes a detector cautious, and its sentences say so.
//
// After a restart, [Rates], [Correlation], [Profiles], [Provers] and the series continue from
// their saved states, and thresholds that feedback has raised stay. The windows of the last
// day, the chains of causes and the counts of the
// open minute and hour are lost: the hashes that count different sources have a key that is
// drawn at each start and never saved.
//
// A state holds names of clients and claims, and networks as /24 or /48, but no address and
// no secret. What is usual fades with a half-life of seven days of traffic, a profile ends
// after 30 days without a request, and of networks the 64 with most failures are kept.
package anomaly
