package principal

import (
	"encoding/hex"
	"strconv"

	"github.com/terradourada/td/protocol"
)

// Kind says how a principal is known.
type Kind uint8

// The kinds of principals. Anonymous is the zero value.
const (
	Anonymous   Kind = iota
	APIClient        // by an API key
	LocalUser        // by the kernel, at the other end of a Unix socket
	Certificate      // by a client certificate
	Core             // this process, which acts by itself
)

// Role is what a principal may do in the administration. A greater one includes the
// smaller ones.
type Role uint8

// The roles. NoRole is that of clients of the public API; the core itself acts as
// RoleCore.
const (
	NoRole Role = iota
	Viewer
	Operator
	Commander
	RoleCore
)

// String returns the word for the role in audit rows and settings.
func (r Role) String() string {
	if words := [...]string{"none", "viewer", "operator", "commander", "core"}; int(r) < len(words) {
		return words[r]
	}
	return "unknown"
}

// Principal is who makes a request. The zero value is an anonymous client.
type Principal struct {
	Kind   Kind
	Client string          // id of an API client
	Index  uint32          // of an API client; 0 for every other principal
	Key    KeyID           // with which an API client has authenticated itself
	UID    uint32          // of a local user
	Cert   protocol.Digest // SHA-256 of a client certificate

	scopes Scopes
}

// ClientID returns the identity that the client commitment of a payload holds.
func (p *Principal) ClientID() string {
	if p.Kind == APIClient {
		return p.Client
	}
	return protocol.LocalClient
}

// Actor returns the text by which an audit row names the principal. Each kind has
// texts of its own.
func (p *Principal) Actor() string {
	switch p.Kind {
	case APIClient:
		return "client " + p.Client
	case LocalUser:
		return "uid " + strconv.FormatUint(uint64(p.UID), 10)
	case Certificate:
		return "certificate " + hex.EncodeToString(p.Cert[:])
	case Core:
		return "core"
	default:
		return "anonymous"
	}
}

// Allow refuses, with code forbidden, an operation that the principal may not call. The
// claim is "" for an operation on none, or while it is not known yet: an operation that
// is allowed for one claim passes then. Only API clients are limited.
func (p *Principal) Allow(op Operation, claim string) error {
	if p.Kind != APIClient || p.scopes.allow(op, claim) {
		return nil
	}
	if claim == "" {
		return protocol.Fail(protocol.CodeForbidden, "the API key does not allow this operation")
	}
	return protocol.Fail(protocol.CodeForbidden, "the API key does not allow this operation for this claim")
}

// maxClientID bounds a client id, in bytes.
const maxClientID = 64

// CheckClientID refuses, with code malformed_request, a text that is not the id of an API
// client: 1 to 64 of "a-z 0-9 . _ -", and not "local", which stands for all clients
// without a key.
func CheckClientID(id string) error {
	if id == protocol.LocalClient {
		return protocol.Fail(protocol.CodeMalformedRequest, `the client id "local" is reserved`)
	}
	ok := len(id) > 0 && len(id) <= maxClientID
	for _, c := range []byte(id) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return protocol.Failf(protocol.CodeMalformedRequest, "a client id is 1 to %d of a-z 0-9 . _ -", maxClientID)
	}
	return nil
}
