package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// mediaType returns the request's media type, which must be one that the
// operation takes.
func mediaType(r *http.Request, taken []string) (string, error) {
	for _, line := range r.Header.Values("Content-Encoding") {
		if line != "" && line != "identity" {
			return "", protocol.Fail(protocol.CodeUnsupportedMedia, "compressed bodies are not taken")
		}
	}
	values := r.Header.Values("Content-Type")
	if len(values) != 1 {
		return "", protocol.Fail(protocol.CodeUnsupportedMedia, "Content-Type must be given once; taken: "+strings.Join(taken, ", "))
	}
	if slices.Contains(taken, values[0]) {
		return values[0], nil // the usual form
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err == nil && onlyUTF8(params) && slices.Contains(taken, media) {
		return media, nil
	}
	return "", protocol.Fail(protocol.CodeUnsupportedMedia, "taken: "+strings.Join(taken, ", "))
}

func onlyUTF8(params map[string]string) bool {
	charset, named := params["charset"]
	if named {
		return len(params) == 1 && strings.EqualFold(charset, "utf-8")
	}
	return len(params) == 0
}

func tooLarge(limit int64) error {
	return protocol.Failf(protocol.CodeTooLarge, "the body may have at most %d bytes", limit)
}

func bodyError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return telemetry.Because(telemetry.Slow, protocol.Wrap(protocol.CodeMalformedRequest, "the body did not arrive in time", err))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return protocol.Wrap(protocol.CodeMalformedRequest, "the body is shorter than announced", err)
	default:
		return protocol.Wrap(protocol.CodeMalformedRequest, "the body could not be read", err)
	}
}

// decode reads a JSON body into v, a pointer to a struct of package api. It
// is strict: every required member must be present and none may be null.
func decode(raw []byte, lim protocol.JSONLimits, v any) error {
	if err := protocol.DecodeStrict(raw, lim, v); err != nil {
		return err
	}
	if complete(raw, reflect.ValueOf(v).Elem()) {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return protocol.Wrap(protocol.CodeMalformedRequest, "the body is not an object", err)
	}
	return checkMembers(members, reflect.TypeOf(v).Elem())
}

// complete reports whether no member can be missing or null, without parsing
// the members again: a missing required one leaves a zero value.
func complete(raw []byte, v reflect.Value) bool {
	for i := range v.NumField() {
		_, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !strings.HasPrefix(options, "omit") && v.Field(i).IsZero() {
			return false
		}
	}
	return !bytes.Contains(raw, []byte("null"))
}

func checkMembers(members map[string]json.RawMessage, t reflect.Type) error {
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		value, there := members[name]
		if !there && !strings.HasPrefix(options, "omit") {
			return protocol.Failf(protocol.CodeMalformedRequest, "member %q is missing", name)
		}
		if there && string(value) == "null" {
			return protocol.Failf(protocol.CodeMalformedRequest, "member %q is null", name)
		}
	}
	return nil
}

// Limits of the JSON of a push beyond its event's own, which the gate applies:
// one object around it, and the parameters beside it.
const (
	eventBodyDepth   = protocol.MaxJSONDepth + 1
	eventBodyMembers = protocol.MaxJSONMembers + 256
)

// decodeEvent reads the body of a push. A fault inside the event has the code
// of the event.
func decodeEvent(raw []byte, req *api.EventRequest) error {
	lim := protocol.JSONLimits{Size: api.MaxEventBody, Depth: eventBodyDepth, Members: eventBodyMembers}
	err := decode(raw, lim, req)
	var fault *protocol.JSONError
	if !errors.As(err, &fault) {
		return err
	}
	var loose struct {
		Event json.RawMessage `json:"event"`
	}
	if json.Unmarshal(raw, &loose) != nil || len(loose.Event) == 0 {
		return err
	}
	if _, inside := protocol.Canonicalize(loose.Event); inside != nil {
		return inside
	}
	return err
}

// terms reads the members that a challenge and a push share: the claim, its
// parameters in canonical form and the lifetime.
func terms(claimID string, params json.RawMessage, ttlMillis uint32) (claim.ID, []byte, time.Duration, error) {
	id, err := claim.ParseID(claimID)
	if err != nil {
		return "", nil, 0, err
	}
	if ttlMillis != 0 && (ttlMillis < protocol.MinTTL || ttlMillis > protocol.MaxTTL) {
		return "", nil, 0, protocol.Failf(protocol.CodeMalformedRequest, "ttl_ms must be from %d to %d", protocol.MinTTL, protocol.MaxTTL)
	}
	canonical, err := protocol.Canonicalize(params)
	if err != nil {
		return "", nil, 0, protocol.Wrap(protocol.CodeMalformedRequest, "params must be an object", err)
	}
	if len(canonical) > protocol.MaxParamsSize {
		return "", nil, 0, protocol.Failf(protocol.CodeMalformedRequest, "params may have at most %d bytes", protocol.MaxParamsSize)
	}
	return id, canonical, time.Duration(ttlMillis) * time.Millisecond, nil
}
