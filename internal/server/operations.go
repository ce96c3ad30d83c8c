package server

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// operation is one row of the API: its description, its input, its answers
// and its handler.
type operation struct {
	id      string
	tag     string
	method  string
	path    string
	route   string // the path for the mux, where that differs
	summary string
	text    string
	media   []string // accepted; the first is the JSON form of body
	limit   int64    // bytes of the body; 0 takes none
	body    any      // a value of the body's type
	params  []param
	answers []answer
	codes   []protocol.Code     // beside those of every operation
	needs   principal.Operation // what the scopes of an API key must allow; nothing for the public log
	class   limit.Class         // of the quotas
	lane    lane
	handler func(*exchange) error
}

// lane is a group of operations with slots of its own. However many requests of one lane
// there are, those of the others are served.
type lane uint8

// The lanes.
const (
	reading   lane = iota // the public log, and requests for no operation
	working               // challenges, proofs, pushed events
	receipts              // of accepted requests
	verifying             // of receipts that are sent
	status                // of the service
	lanes     = iota
)

// slotsOf returns the number of slots of each lane.
func slotsOf(requests int) [lanes]int {
	return [lanes]int{
		reading: max(1, requests/4), working: max(1, requests/2), receipts: max(1, requests/4),
		verifying: max(1, requests/8), status: statusPlaces,
	}
}

// The groups of operations.
const (
	tagPull     = "pull"
	tagPush     = "push"
	tagReceipts = "receipts"
	tagLog      = "log"
	tagService  = "service"
)

// param is a parameter in the path, the query or a header.
type param struct {
	in       string
	name     string
	text     string
	value    any // a value of its type
	required bool
}

// answer is one successful answer.
type answer struct {
	status int
	text   string
	media  string
	value  any // a value of its type; nil for text and bytes
}

// anywhere are the codes that every operation may answer with; inBody are
// those of every operation that takes a body.
var (
	anywhere = []protocol.Code{
		protocol.CodeMalformedRequest, protocol.CodeUnauthenticated, protocol.CodeForbidden,
		protocol.CodeRateLimited, protocol.CodeOverloaded, protocol.CodeDraining, protocol.CodeInternal,
	}
	inBody  = []protocol.Code{protocol.CodeTooLarge, protocol.CodeUnsupportedMedia}
	toIssue = []protocol.Code{
		protocol.CodeUnknownClaim, protocol.CodeFrozen, protocol.CodeDraining,
		protocol.CodeLedgerUnavailable, protocol.CodeConflict, protocol.CodeNullifierUsed, protocol.CodeInvalidated,
	}
	toProve = []protocol.Code{
		protocol.CodeProverTimeout, protocol.CodeProverBadResponse, protocol.CodeProverTagMismatch,
	}
	toAccept = []protocol.Code{
		protocol.CodeFrozen, protocol.CodeLedgerUnavailable, protocol.CodeConflict,
		protocol.CodeNullifierUsed, protocol.CodeExpired, protocol.CodeInvalidated, protocol.CodeProofRejected,
	}
)

// pattern returns the operation's path for the mux.
func (op *operation) pattern() string {
	if op.route != "" {
		return op.route
	}
	return op.path
}

// allCodes lists the codes of an operation in the order of section 14.
func (op *operation) allCodes() []protocol.Code {
	codes := slices.Concat(anywhere, op.codes)
	if op.limit > 0 {
		codes = append(codes, inBody...)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

var (
	idParam = param{in: "path", name: "id", text: "The request id.", value: protocol.RequestID{}, required: true}
	nParam  = param{in: "path", name: "n", text: "The epoch's number.", value: uint64(0), required: true}
	prefer  = param{in: "header", name: "Prefer", text: "wait=n waits up to n seconds (at most 30) for a receipt.", value: ""}
)

// operations is the whole public API.
func (s *Server) operations() []operation {
	return slices.Concat(s.pullOperations(), s.pushOperations(), s.receiptOperations(), s.readOperations(), s.fileOperations())
}

func (s *Server) pullOperations() []operation {
	return []operation{{
		id: "openChallenge", class: limit.Issue, lane: working, tag: tagPull, needs: principal.Challenge, method: http.MethodPost, path: "/v1/challenges",
		summary: "Ask for a challenge (pull)",
		text: "The client has committed to an event that it keeps. It recomputes the challenge, " +
			"refuses one that differs, proves, and sends the proof with the tag.",
		media: []string{api.MediaJSON}, limit: api.MaxChallengeBody, body: api.ChallengeRequest{},
		answers: []answer{{http.StatusCreated, "The challenge.", api.MediaJSON, api.Challenge{}}},
		codes:   toIssue, handler: s.openChallenge,
	}, {
		id: "sendProof", class: limit.Submit, lane: working, tag: tagPull, needs: principal.Proof, method: http.MethodPost, path: "/v1/challenges/{id}/proof",
		summary: "Answer a challenge (pull)",
		text: "The proof and its tag, as JSON, or the bare proof with the tag in a header. The same proof sent " +
			"again gets the same answer. A false proof ends the request permanently.",
		media: []string{api.MediaJSON, api.MediaOctets}, limit: api.MaxProofBody, body: api.ProofRequest{},
		params: []param{idParam, prefer, {
			in: "header", name: api.TagHeader, text: "The tag, beside a bare proof.", value: protocol.Tag{},
		}},
		answers: []answer{{http.StatusCreated, "Accepted: the proof is in the journal.", api.MediaJSON, api.Accepted{}}},
		codes:   append([]protocol.Code{protocol.CodeSubmissionRejected, protocol.CodeAlreadyConsumed}, toAccept...),
		handler: s.sendProof,
	}}
}

func (s *Server) pushOperations() []operation {
	return []operation{{
		id: "pushEvent", class: limit.Issue, lane: working, tag: tagPush, needs: principal.Event, method: http.MethodPost, path: "/v1/events",
		summary: "Have an event proved (push)",
		text: "The operator's prover sees the event. The answer holds the only copy of the opening. " +
			"A repeated push is a new request.",
		media: []string{api.MediaJSON}, limit: api.MaxEventBody, body: api.EventRequest{},
		params: []param{{
			in: "header", name: "Prefer", value: "",
			text: "wait=n waits up to n seconds (at most 30) for outcome and receipt; respond-async does not wait.",
		}},
		answers: []answer{
			{http.StatusCreated, "Accepted: the proof is in the journal.", api.MediaJSON, api.EventAccepted{}},
			{http.StatusAccepted, "Still being proved; ask for the receipt at Location.", api.MediaJSON, api.EventQueued{}},
		},
		codes: slices.Concat(toIssue, toProve, toAccept, []protocol.Code{
			protocol.CodeEventNotCanonicalisable, protocol.CodeEventNotEncodable, protocol.CodeStatementFalse,
		}),
		handler: s.pushEvent,
	}}
}

func (s *Server) receiptOperations() []operation {
	return []operation{{
		id: "getReceipt", class: limit.Read, lane: receipts, tag: tagReceipts, method: http.MethodGet, path: "/v1/receipts/{id}",
		summary: "Get a receipt",
		text:    "Everything that is needed to check an acceptance offline.",
		params:  []param{idParam, prefer},
		answers: []answer{{http.StatusOK, "The receipt.", api.MediaReceipt, receiptDoc}},
		codes: append([]protocol.Code{
			protocol.CodeNotFound, protocol.CodeLedgerUnavailable, protocol.CodeExpired, protocol.CodeInvalidated,
			protocol.CodeProofRejected, protocol.CodeConflict, protocol.CodeNullifierUsed,
		}, toProve...), // the ways in which a request can have ended without one
		handler: s.getReceipt,
	}, {
		id: "verifyReceipt", class: limit.Verify, lane: verifying, tag: tagReceipts, needs: principal.Verify, method: http.MethodPost, path: "/v1/verify",
		summary: "Verify a receipt",
		text: "For clients that trust this server; the same check runs offline. A receipt whose log nothing " +
			"vouches for is a negative verdict unless allow_self_asserted=true, since anyone could fabricate a whole log.",
		media: []string{api.MediaReceipt, api.MediaJSON}, limit: api.MaxReceiptBody, body: receiptDoc,
		params:  []param{{in: "query", name: "allow_self_asserted", text: "Accept a self-asserted identity.", value: false}},
		answers: []answer{{http.StatusOK, "The report; negative verdicts are answers too.", api.MediaJSON, receipt.Report{}}},
		handler: s.verifyReceipt,
	}}
}

func (s *Server) readOperations() []operation {
	fingerprint := param{in: "path", name: "fingerprint", text: "Fingerprint of the verifying key.", value: protocol.Digest{}, required: true}
	missing := []protocol.Code{protocol.CodeNotFound, protocol.CodeLedgerUnavailable}
	return []operation{{
		id: "listClaims", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/v1/claims", summary: "List the claims",
		text:    "The claims whose verifying keys are in the log, retired ones too. A claim that is listed and not retired is issued for.",
		answers: []answer{{http.StatusOK, "The claims.", api.MediaJSON, api.Claims{}}},
		codes:   missing[1:], handler: s.listClaims,
	}, {
		id: "getClaim", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/v1/claims/{fingerprint}", summary: "Get one claim",
		text:    "The claim with this verifying key, as it stands in the log.",
		params:  []param{fingerprint},
		answers: []answer{{http.StatusOK, "The claim.", api.MediaJSON, api.Claim{}}},
		codes:   missing, handler: s.getClaim,
	}, {
		id: "listEpochs", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/v1/epochs", summary: "List the newest epochs",
		text:    "The public values of the newest epochs, without their ML-DSA keys. Older epochs are read by their number.",
		answers: []answer{{http.StatusOK, "The epochs.", api.MediaJSON, api.Epochs{}}},
		codes:   missing[1:], handler: s.listEpochs,
	}, {
		id: "getEpoch", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/v1/epochs/{n}", summary: "Get one epoch",
		text:    "The public values of an epoch with its ML-DSA key.",
		params:  []param{nParam},
		answers: []answer{{http.StatusOK, "The epoch.", api.MediaJSON, api.Epoch{}}},
		codes:   missing, handler: s.getEpoch,
	}, {
		id: "getAttestation", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/v1/epochs/{n}/attestation",
		summary: "Get the evidence of hardware about an epoch",
		text: fmt.Sprintf("Evidence of a TPM 2.0, SEV-SNP or TDX that names the epoch's public keys, at most %d bytes; its form and how "+
			"to check it are in docs/security/attestation.md. Most epochs have none.", api.MaxEvidence),
		params:  []param{nParam},
		answers: []answer{{http.StatusOK, "The evidence.", api.MediaOctets, nil}},
		codes:   missing, handler: s.getAttestation,
	}, {
		id: "getStatus", tag: tagService, method: http.MethodGet, path: "/v1/status", summary: "Get the state of the service",
		text: "Which parts work and which do not, since when and why, from memory. It is answered under any load, " +
			"in slots that other requests cannot take.",
		answers: []answer{{http.StatusOK, "The state.", api.MediaJSON, api.Status{}}},
		codes:   missing[1:], class: limit.Health, lane: status, handler: s.getStatus,
	}}
}

func (s *Server) fileOperations() []operation {
	missing := []protocol.Code{protocol.CodeNotFound, protocol.CodeLedgerUnavailable}
	return []operation{{
		id: "getCheckpoint", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/checkpoint", summary: "Get the newest checkpoint",
		text:    "C2SP tlog-checkpoint.",
		answers: []answer{{http.StatusOK, "The signed note.", "text/plain", nil}},
		codes:   missing, handler: s.getCheckpoint,
	}, {
		id: "getTile", class: limit.Read, tag: tagLog, method: http.MethodGet, path: "/tile/{path}", route: "/tile/{path...}",
		summary: "Get a tile or an entry bundle", text: "C2SP tlog-tiles; the path has slashes in it.",
		params:  []param{{in: "path", name: "path", text: "For example 0/000 or entries/000.p/7.", value: "", required: true}},
		answers: []answer{{http.StatusOK, "The tile.", api.MediaOctets, nil}},
		codes:   missing, handler: s.getTile,
	}, {
		id: "getSpec", class: limit.Read, tag: tagService, method: http.MethodGet, path: "/openapi.json", summary: "Get this description",
		text:    "The description of this API, as committed with the program.",
		answers: []answer{{http.StatusOK, "OpenAPI 3.1.", api.MediaJSON, nil}}, handler: s.getSpec,
	}, {
		id: "getDocs", class: limit.Read, tag: tagService, method: http.MethodGet, path: "/docs", summary: "Read about the operations",
		text:    "A page for people about operations and error codes, without scripts.",
		answers: []answer{{http.StatusOK, "A page.", "text/html", nil}}, handler: s.getDocs,
	}}
}
