package admin

import (
	"net/http"
	"time"
	"unicode"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// action is one action of the administration.
type action struct {
	name   string // also its path, below Prefix, and the action of its row
	least  principal.Role
	method string
	stop   bool          // it stops something, so it never waits for a disk
	limit  time.Duration // for the work; 0 means workTimeout
	do     func(*request) (any, error)
}

// unknown is the action of a request that names none.
var unknown = action{name: "unknown"}

// actions is the table of all actions. Stopping is easy, starting again is hard: an
// operator may take what stops and can be repeated or ended; what starts again, is
// permanent or admits someone needs a commander.
func actions() []action {
	const get, post = http.MethodGet, http.MethodPost
	return []action{
		{name: "status", least: principal.Viewer, method: get, do: (*request).status},
		{name: "epochs", least: principal.Viewer, method: get, do: (*request).epochs},
		{name: "claims", least: principal.Viewer, method: get, do: (*request).listClaims},
		{name: "clients", least: principal.Viewer, method: get, do: (*request).clients},
		{name: "sessions", least: principal.Viewer, method: get, do: (*request).sessions},
		{name: "audit", least: principal.Viewer, method: get, do: (*request).auditRows},
		{name: "incidents", least: principal.Viewer, method: get, do: (*request).incidents},
		{name: "alerts", least: principal.Viewer, method: get, do: (*request).alerts},
		{name: "alerts/rules", least: principal.Viewer, method: get, do: (*request).alertRules},
		{name: "alerts/sinks", least: principal.Viewer, method: get, do: (*request).alertSinks},
		{name: "anomalies", least: principal.Viewer, method: get, do: (*request).anomalies},
		{name: "responses", least: principal.Viewer, method: get, do: (*request).responses},

		{name: "audit/verify", least: principal.Operator, method: post, limit: 10 * time.Minute, do: taking((*request).verifyAudit)},
		{name: "freeze", least: principal.Operator, method: post, stop: true, do: taking((*request).freeze)},
		{name: "rotate", least: principal.Operator, method: post, stop: true, limit: time.Minute, do: taking((*request).rotate)},
		{name: "invalidate", least: principal.Operator, method: post, do: taking((*request).invalidate)},
		{name: "incident/open", least: principal.Operator, method: post, stop: true, limit: 5 * time.Minute, do: taking((*request).openIncident)},
		{name: "clients/revoke-key", least: principal.Operator, method: post, do: taking((*request).revokeKey)},
		{name: "reload", least: principal.Operator, method: post, do: taking((*request).reload)},
		{name: "backup", least: principal.Operator, method: post, limit: time.Hour, do: taking((*request).backup)},

		{name: ActionSilence, least: principal.Operator, method: post, do: taking((*request).silence)},
		{name: ActionUnsilence, least: principal.Operator, method: post, do: taking((*request).unsilence)},
		{name: "alerts/feedback", least: principal.Operator, method: post, do: taking((*request).feedback)},
		{name: "anomalies/feedback", least: principal.Operator, method: post, do: taking((*request).anomalyFeedback)},
		{name: "alerts/test", least: principal.Operator, method: post, do: taking((*request).testSink)},
		{name: "responses/lift", least: principal.Operator, method: post, do: taking((*request).lift)},

		{name: "alerts/sinks/add", least: principal.Commander, method: post, do: taking((*request).addSink)},
		{name: "alerts/sinks/remove", least: principal.Commander, method: post, do: taking((*request).removeSink)},
		{name: "thaw", least: principal.Commander, method: post, do: taking((*request).thaw)},
		{name: "seal", least: principal.Commander, method: post, stop: true, limit: maxDrain + time.Minute, do: taking((*request).seal)},
		{name: "retire", least: principal.Commander, method: post, do: taking((*request).retire)},
		{name: "revoke", least: principal.Commander, method: post, limit: time.Minute, do: taking((*request).revoke)},
		{name: "clients/add", least: principal.Commander, method: post, do: taking((*request).addClient)},
		{name: "clients/key", least: principal.Commander, method: post, do: taking((*request).addKey)},
		{name: "clients/disable", least: principal.Commander, method: post, do: taking((*request).disableClient)},
		{name: "incident/close", least: principal.Commander, method: post, do: taking((*request).closeIncident)},
	}
}

// taking decodes the body, whose reason every action asks for.
func taking[B interface{ why() string }, A any](do func(*request, *B) (A, error)) func(*request) (any, error) {
	return func(q *request) (any, error) {
		var b B
		if err := protocol.DecodeStrict(q.body, protocol.JSONLimits{Size: maxBody, Depth: 4, Members: 64}, &b); err != nil {
			return nil, err
		}
		reason := b.why()
		if err := checkReason(reason); err != nil {
			return nil, err
		}
		q.reason = reason
		return do(q, &b)
	}
}

func (r Reason) why() string { return r.Reason }

// maxReason bounds a reason, in bytes, as the journal does.
const maxReason = 1024

func checkReason(text string) error {
	if text == "" || len(text) > maxReason {
		return protocol.Failf(protocol.CodeMalformedRequest, "a reason of 1 to %d bytes is required", maxReason)
	}
	for _, c := range text {
		if unicode.IsControl(c) {
			return protocol.Fail(protocol.CodeMalformedRequest, "a reason holds no control characters")
		}
	}
	return nil
}
