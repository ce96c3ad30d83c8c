package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// jsonPaths take JSON bodies, each with the bytes it takes at most.
func jsonPaths() map[string]int {
	return map[string]int{
		"/v1/challenges": api.MaxChallengeBody,
		"/v1/challenges/" + knownID.String() + "/proof": api.MaxProofBody,
		"/v1/events": api.MaxEventBody,
		"/v1/verify": api.MaxReceiptBody,
	}
}

// TestHostileBodies sends bodies that no operation may accept to each that
// takes JSON.
func TestHostileBodies(t *testing.T) {
	var unknown strings.Builder
	for i := 0; unknown.Len() < 60_000; i++ {
		fmt.Fprintf(&unknown, `,"%s%d":"%s"`, canary, i, canary)
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	bodies := map[string]string{
		"empty":                   "",
		"blank":                   " \n",
		"no JSON":                 canary,
		"half":                    `{"claim":"` + canary,
		"array":                   `["` + canary + `"]`,
		"null":                    "null",
		"text":                    `"` + canary + `"`,
		"two objects":             challengeBody + challengeBody,
		"byte order mark":         "\ufeff" + challengeBody,
		"60 KB unknown":           `{"claim":"open/1"` + unknown.String() + `}`,
		"one unknown":             strings.Replace(challengeBody, "{", `{"`+canary+`":1,`, 1),
		"duplicate":               `{"claim":"` + canary + `","claim":"open/1","params":{},"commitment":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`,
		"duplicate, escaped":      `{"claim":"open/1","cl\u0061im":"` + canary + `"}`,
		"other case":              strings.Replace(challengeBody, `"claim"`, `"Claim"`, 1),
		"deep":                    `{"params":` + deep(40) + `}`,
		"very deep":               `{"params":` + deep(2500) + `}`,
		"very deep arrays":        `{"params":` + strings.Repeat("[", 15_000),
		"invalid UTF-8":           `{"claim":"` + canary + "\xff" + `"}`,
		"overlong UTF-8":          `{"claim":"` + "\xc0\xaf" + `"}`,
		"surrogate bytes":         `{"claim":"` + "\xed\xa0\x80" + `"}`,
		"lone surrogate":          `{"claim":"\ud800"}`,
		"huge number":             `{"ttl_ms":` + strings.Repeat("9", 10_000) + `}`,
		"inexact number":          `{"ttl_ms":9007199254740993}`,
		"number out of range":     `{"ttl_ms":1e400}`,
		"negative lifetime":       `{"ttl_ms":-1}`,
		"NUL":                     "{\"claim\":\"\x00\"}",
		"number for text":         `{"claim":1,"params":1,"event":1,"commitment":1,"tag":1,"proof":1}`,
		"text for object":         `{"params":"` + canary + `","event":"` + canary + `"}`,
		"null members":            `{"claim":null,"params":null,"commitment":null,"event":null,"tag":null,"proof":null}`,
		"padded base64":           `{"commitment":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=","tag":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="}`,
		"base64 with spare bits":  `{"commitment":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF","tag":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF"}`,
		"base64 with line breaks": `{"proof":"AAAA\nAAAA","tag":"` + aTag.String() + `"}`,
		"element too large":       `{"commitment":"__________________________________________8"}`,
		"2000 members":            `{"params":{"":0` + manyMembers(2000) + `}}`,
	}
	s := start(t, nil)
	for path, limit := range jsonPaths() {
		for name, body := range bodies {
			t.Run(name+path, func(t *testing.T) {
				s := *s
				s.t = t
				p := s.problem(s.post(path, body), protocol.CodeNone)
				want := p.Code == protocol.CodeMalformedRequest || p.Code == protocol.CodeEventNotCanonicalisable ||
					p.Code == protocol.CodeTooLarge && len(body) > limit
				if !want {
					t.Errorf("code %s: %s", p.Code, p.Detail)
				}
			})
		}
	}
	if n := len(s.fake.opened) + len(s.fake.answers) + len(s.fake.pushes); n != 0 {
		t.Errorf("%d bodies reached the gate", n)
	}
	s.alive()
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":0`, i)
	}
	return b.String()
}

// TestMembers: each required member is required, and the optional one may be
// absent.
func TestMembers(t *testing.T) {
	s := start(t, nil)
	event := `{"claim":"open/1","params":{},"event":{}}`
	for path, body := range map[string]string{
		"/v1/challenges": challengeBody,
		"/v1/challenges/" + knownID.String() + "/proof": proofBody(),
		"/v1/events": event,
	} {
		if r := s.post(path, body); r.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, r.StatusCode, r.body)
		}
		for _, name := range []string{"claim", "params", "commitment", "event", "tag", "proof"} {
			if !strings.Contains(body, `"`+name+`"`) {
				continue
			}
			renamed := strings.Replace(body, `"`+name+`"`, `"ttl_ms":0,"x"`, 1)
			s.problem(s.post(path, renamed), protocol.CodeMalformedRequest)
			s.problem(s.post(path, dropMember(body, name)), protocol.CodeMalformedRequest)
		}
	}
	for ttl, want := range map[string]int{"0": 201, "1000": 201, "600000": 201, "999": 400, "600001": 400, "4294967296": 400, "1e3": 400, "1000.5": 400, `"1000"`: 400} {
		r := s.post("/v1/challenges", strings.Replace(challengeBody, "{", `{"ttl_ms":`+ttl+",", 1))
		if r.StatusCode != want {
			t.Errorf("ttl_ms %s: %d, want %d", ttl, r.StatusCode, want)
		}
	}
}

// dropMember removes one member from a flat object.
func dropMember(body, name string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(body, "{"), "}")
	var kept []string
	for part := range strings.SplitSeq(inner, ",") {
		if !strings.HasPrefix(part, `"`+name+`"`) {
			kept = append(kept, part)
		}
	}
	return "{" + strings.Join(kept, ",") + "}"
}

// TestEventFaults: a fault inside an event has the event's code, with keyword
// and offset; a fault outside of it does not.
func TestEventFaults(t *testing.T) {
	s := start(t, nil)
	around := func(event string) string { return `{"claim":"open/1","params":{},"event":` + event + `}` }
	for event, keyword := range map[string]string{
		`{"a":1,"a":2}`:                   "duplicate_name",
		`{"a":9007199254740993}`:          "inexact_number",
		`{"a":"\ud800"}`:                  "surrogate",
		`[1]`:                             "not_an_object",
		`{"a":` + nested(32) + `}`:        "too_deep",
		`{"":0` + manyMembers(1024) + `}`: "too_many_members",
	} {
		p := s.problem(s.post("/v1/events", around(event)), protocol.CodeEventNotCanonicalisable)
		if !strings.Contains(p.Detail, keyword) || !strings.Contains(p.Detail, "byte") {
			t.Errorf("detail %q, want %s and an offset", p.Detail, keyword)
		}
	}
	s.problem(s.post("/v1/events", `{"claim":"open/1","claim":"open/1","params":{},"event":{}}`), protocol.CodeMalformedRequest)
	for _, event := range []string{`{"a":` + nested(31) + `}`, `{"":0` + manyMembers(1023) + `}`, `{"x":1.0,"y":1e2,"z":-0}`} {
		if r := s.post("/v1/events", around(event)); r.StatusCode != http.StatusCreated {
			t.Errorf("%.40s: %d %s", event, r.StatusCode, r.body)
		}
	}
	largest := `{"a":"` + strings.Repeat("x", 65536-8) + `"}`
	if r := s.post("/v1/events", around(largest)); r.StatusCode != http.StatusCreated {
		t.Errorf("largest event: %d %s", r.StatusCode, r.body)
	}
	s.problem(s.post("/v1/events", around(`{"a":"x`+largest[6:])), protocol.CodeEventNotCanonicalisable)
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// TestEventArrivesAsSent: numbers keep their values.
func TestEventArrivesAsSent(t *testing.T) {
	s := start(t, nil)
	s.post("/v1/events", `{"claim":"open/1", "params":{ }, "event": {"b":1.0,"a":1e2,"c":"é\u00e9"}}`)
	if got := string(s.fake.pushes[0].Event); got != `{"b":1.0,"a":1e2,"c":"é\u00e9"}` {
		t.Errorf("event %s", got)
	}
	if got := string(s.fake.pushes[0].Params); got != `{}` {
		t.Errorf("params %s", got)
	}
}

func TestParamsAreCanonicalAndBounded(t *testing.T) {
	s := start(t, nil)
	body := `{"claim":"sum/1","params":{ "scale":0, "lo":1.0e2, "at":["\/a"], "hi":9 },"commitment":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`
	if r := s.post("/v1/challenges", body); r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if got, want := string(s.fake.opened[0].Params), `{"at":["/a"],"hi":9,"lo":100,"scale":0}`; got != want {
		t.Errorf("params %s, want %s", got, want)
	}
	for n, want := range map[int]int{2048: 201, 2049: 400} {
		params := `{"a":"` + strings.Repeat("x", n-8) + `"}`
		if r := s.post("/v1/challenges", strings.Replace(challengeBody, "{}", params, 1)); r.StatusCode != want {
			t.Errorf("%d bytes of params: %d, want %d", n, r.StatusCode, want)
		}
	}
	s.problem(s.post("/v1/challenges", strings.Replace(challengeBody, "open/1", canary, 1)), protocol.CodeUnknownClaim)
}

func TestSizes(t *testing.T) {
	s := start(t, nil)
	for path, limit := range jsonPaths() {
		body := `{"x":"` + strings.Repeat("y", limit) + `"}`
		s.problem(s.post(path, body), protocol.CodeTooLarge)
		s.problem(s.chunked(path, body), protocol.CodeMalformedRequest)
		r := s.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{", path))
		if r == nil {
			t.Fatal("no answer to a large announcement")
		}
		s.problem(*r, protocol.CodeTooLarge)
	}
	s.alive()
}

// chunked sends a JSON body without its length.
func (s *service) chunked(path, body string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.addr+path, io.MultiReader(strings.NewReader(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", api.MediaJSON)
	return s.send(req)
}

func TestMediaTypes(t *testing.T) {
	s := start(t, nil)
	for _, media := range []string{
		"", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=" + canary,
		"application/json; charset=latin1", "application/json; v=" + canary, "application/json, text/plain", "application/cbor",
		"application/jsonx", canary, ";;;",
	} {
		r := s.do(http.MethodPost, "/v1/challenges", []byte(challengeBody), "Content-Type", media)
		s.problem(r, protocol.CodeUnsupportedMedia)
	}
	r := s.do(http.MethodPost, "/v1/challenges", []byte(challengeBody), "Content-Type", "application/json", "Content-Type", "application/json")
	s.problem(r, protocol.CodeUnsupportedMedia)
	r = s.post("/v1/challenges", challengeBody, "Content-Encoding", "gzip")
	s.problem(r, protocol.CodeUnsupportedMedia)
	r = s.do(http.MethodPost, "/v1/challenges", []byte(challengeBody), "Content-Type", api.MediaOctets, "TD-Tag", aTag.String())
	s.problem(r, protocol.CodeUnsupportedMedia)
}

func TestBareProof(t *testing.T) {
	s := start(t, nil)
	path := "/v1/challenges/" + knownID.String() + "/proof"
	proof := []byte("any bytes \x00\xff\n")
	r := s.do(http.MethodPost, path, proof, "Content-Type", api.MediaOctets, "TD-Tag", aTag.String())
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if a := s.fake.answers[0]; !a.Tag.Equal(aTag) || string(a.Proof) != string(proof) || a.RequestID != knownID {
		t.Errorf("answer %+v", a)
	}
	for _, tags := range [][]string{{}, {""}, {canary}, {aTag.String(), aTag.String()}, {aTag.String() + "="}, {" " + aTag.String() + "A"}} {
		h := []string{"Content-Type", api.MediaOctets}
		for _, tag := range tags {
			h = append(h, "TD-Tag", tag)
		}
		s.problem(s.do(http.MethodPost, path, proof, h...), protocol.CodeMalformedRequest)
	}
	for _, id := range []string{canary, strings.ToUpper(knownID.String()), knownID.String()[1:], knownID.String() + "0"} {
		r := s.do(http.MethodPost, "/v1/challenges/"+id+"/proof", proof, "Content-Type", api.MediaOctets, "TD-Tag", aTag.String())
		s.problem(r, protocol.CodeMalformedRequest)
		s.problem(s.do(http.MethodGet, "/v1/receipts/"+id, nil), protocol.CodeMalformedRequest)
	}
	for _, n := range []string{"01", "+1", "-1", "1e0", "18446744073709551616", canary} {
		s.problem(s.do(http.MethodGet, "/v1/epochs/"+n, nil), protocol.CodeMalformedRequest)
	}
	s.problem(s.do(http.MethodGet, "/v1/epochs/2", nil), protocol.CodeNotFound)
	s.problem(s.do(http.MethodGet, "/v1/claims/"+canary, nil), protocol.CodeMalformedRequest)
	s.problem(s.do(http.MethodGet, "/v1/claims/"+protocol.Digest{7}.String(), nil), protocol.CodeNotFound)
	s.problem(s.do(http.MethodGet, "/v1/status", []byte(canary)), protocol.CodeMalformedRequest)
}

// TestRawSockets: requests that an HTTP client would never send.
func TestRawSockets(t *testing.T) {
	s := start(t, nil)
	for name, request := range map[string]string{
		"garbage":               canary + "\x00\xff\r\n\r\n",
		"TLS hello":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + canary,
		"no host":               "GET /v1/status HTTP/1.1\r\n\r\n",
		"two hosts":             "GET /v1/status HTTP/1.1\r\nHost: a\r\nHost: " + canary + "\r\n\r\n",
		"bad host":              "GET /v1/status HTTP/1.1\r\nHost: " + canary + "\x01\r\n\r\n",
		"bad header name":       "GET /v1/status HTTP/1.1\r\nHost: x\r\n" + canary + " : x\r\n\r\n",
		"bad header value":      "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + canary + "\x00\r\n\r\n",
		"huge header":           "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat(canary, 2000) + "\r\n\r\n",
		"huge request line":     "GET /" + strings.Repeat(canary, 2000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"unknown version":       "GET /" + canary + " HTTP/9.9\r\nHost: x\r\n\r\n",
		"unknown encoding":      "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + canary + "\r\n\r\n",
		"length and chunks":     "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + canary,
		"two lengths":           "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n" + canary,
		"bad length":            "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Length: " + canary + "\r\n\r\n",
		"bad chunk":             "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n",
		"expectation":           "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nExpect: " + canary + "\r\nContent-Length: 2\r\n\r\n{}",
		"asterisk":              "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"absolute":              "GET http://" + canary + "/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
		"connect":               "CONNECT " + canary + ":443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"connect to a path":     "CONNECT /v1/../status HTTP/1.1\r\nHost: x\r\n\r\n",
		"old protocol":          "GET /v1/" + canary + " HTTP/1.0\r\n\r\n",
		"bad escape":            "GET /v1/%zz" + canary + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"HTTP/2 with knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		r := s.raw(request)
		if r == nil {
			continue // closed without an answer
		}
		if r.StatusCode < 400 || len(r.body) > api.MaxProblem {
			t.Errorf("%s: status %d, %d bytes", name, r.StatusCode, len(r.body))
		}
		if strings.Contains(string(r.body)+headerText(r.Header), canary) {
			t.Errorf("%s: the answer repeats input: %s", name, r.body)
		}
	}
	s.alive()
}

func TestOldProtocolAndPipelining(t *testing.T) {
	s := start(t, nil)
	r := s.raw("GET /v1/status HTTP/1.0\r\n\r\n")
	if r == nil || r.StatusCode != http.StatusOK || !strings.Contains(string(r.body), "terradourada/test") {
		t.Fatalf("HTTP/1.0: %+v", r)
	}
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	one := fmt.Sprintf("POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(challengeBody), challengeBody)
	last := "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	go io.WriteString(c, strings.Repeat(one, 5)+last)
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(all), "HTTP/1.1 201 Created"); n != 5 || !strings.Contains(string(all), "HTTP/1.1 200 OK") {
		t.Errorf("%d of 5 pipelined requests were answered", n)
	}
}

// TestNothingIsEverRepeated is a property: whatever object is sent to any
// operation, a refusal is small and holds none of it.
func TestNothingIsEverRepeated(t *testing.T) {
	s := start(t, nil)
	name := rapid.SampledFrom([]string{"claim", "params", "commitment", "event", "tag", "proof", "ttl_ms", "version", "leaf", canary, "Claim", ""})
	value := rapid.SampledFrom([]string{
		`"` + canary + `"`, `1`, `-0`, `1e999`, `null`, `true`, `{}`, `{"` + canary + `":1}`, `["` + canary + `"]`,
		`"open/1"`, `"\ud800"`, `{"a":1,"a":1}`, `"AAAA"`, "\"\xff\"",
	})
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		for i, n := range rapid.SliceOfN(name, 0, 12).Draw(rt, "names") {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q:%s", n, value.Draw(rt, "value"))
		}
		body := "{" + b.String() + "}"
		for path := range jsonPaths() {
			r := s.post(path, body, "Prefer", canary)
			if r.StatusCode >= 400 {
				s.problem(r, protocol.CodeNone)
			}
		}
		if s.t.Failed() {
			rt.Fatalf("after %s", body)
		}
	})
}
