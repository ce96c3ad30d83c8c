// Package telemetry reports what a running server does: its events, its log, and a record
// of events for a later replay. Package metrics below it counts events for Prometheus.
//
// # Events
//
// There are two types of events. A [Request] is one HTTP request, reported once by the
// server when it is answered. Its [Cause] says why it was refused, more precisely than the
// code that the client learns: the gate puts it into the error ([Because]), and [CauseOf]
// reads it. A [Change] is a change of the server's state, or a new value of something that
// is measured. Both have closed sets of causes and kinds.
//
// [Events] distributes them. Observers in the path of a request must be fast: the budgets
// of failures and the exact detectors. Everything else reads a ring of bounded size outside
// the path, and events that find it full are dropped and counted.
//
// # The log
//
// The file fields.go has all fields and all events of the log. A last handler adds the name
// of the event, bounds and escapes values, refuses values whose type it does not know, and
// summarises lines that repeat. A [Stream] between the log and standard error keeps a slow
// reader from blocking the server.
//
// # The record
//
// A record is a file of events for a later replay. It is JSON Lines. The first line is
//
//	{"record":"terradourada-events/1","began":"2026-11-29T15:00:00Z"}
//
// and each other line is one event, a request or a change:
//
//	{"at_us":1234,"operation":"sendProof","claim":"range/1","client":"lab","source":"192.0.2.7",
//	 "code":"submission_rejected","cause":"wrong_tag","status":403,"took_us":812,...}
//	{"at_us":1301,"kind":"child_died","subject":"tagger","value":1}
//
// at_us is the time since began in microseconds. Zero values are left out. A record holds
// what [Request] and [Change] hold, thus no tag, no proof and no part of an event. Source
// is a pseudonym if the log has pseudonyms. If events were dropped, a line with their
// number so far follows: {"at_us":1400,"lost":17}.
package telemetry
