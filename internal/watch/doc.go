// Package watch decides when a person has to look at a server, without Prometheus. It is
// pure: it reads counters and gauges and the time that it is called with, starts nothing
// and opens nothing. What is sent where belongs to package notify.
//
// # Rules and alerts
//
// The rules are a closed set, one table in rules.go. A rule reads one value for its
// scope: the whole server, one client, or one network of addresses. An alert is a rule
// with a scope, and its fingerprint depends on both alone.
//
//	inactive -> pending   the value reaches the threshold, with enough events behind it
//	pending  -> firing    it has stayed there for the rule's number of ticks
//	pending  -> inactive  it has not
//	firing   -> clearing  the value has passed the lower clear threshold
//	clearing -> firing    it came back
//	clearing -> inactive  it stayed clear for the time that alerts are kept
//
// A value that is not known changes no state. A scope without events reads 0.
//
// # Incidents
//
// Alerts of one group and one scope that fire within half an hour are one incident. An
// incident is notified when its first visible alert fires, when one of another rule joins,
// one, four and 24 hours later, and when its last alert ends. An alert is hidden while a
// silence covers it, or while something else explains it: a freeze, a rotation, or
// another rule that fires. The end of one that was visible before is never hidden.
//
// # What strangers can do
//
// An event that a stranger can cause changes counters and alerts, and nothing else: the
// engine returns notices and has no effects. Package node imposes penalties on the client
// or network that an alert is about; no alert has a wider effect. Every table is bounded, see [Tally] and
// [Engine]. A wrong tag counts in full only if the request was pending and belonged to
// the client that answered it, which telemetry.WrongTag means. What names no such request
// counts as a tenth, and for the whole server apart.
package watch
