package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// refused is one kind of request that a server refuses.
type refused struct {
	name string
	path string
	head http.Header
	body []byte
	code protocol.Code
}

// refusals measures what refused requests cost, and how long error answers are.
// The proof is a right one, of another request.
func (b *run) refusals(ctx context.Context, s *server, proof []byte, acceptCPU float64) ([]Budget, error) {
	pending, err := s.client.Challenge(ctx, openRequest())
	if err != nil {
		return nil, err
	}
	cost, err := b.refusalCost(ctx, s, []refused{
		answerOf("wrong_tag", pending.RequestID, proof),
		answerOf("unknown_id", protocol.RequestID{1}, proof),
		{"malformed", "/v1/challenges", http.Header{"Content-Type": {api.MediaJSON}}, []byte(`{"claim":"open/1","params":{},"commitment":`), protocol.CodeMalformedRequest},
	}, acceptCPU)
	if err != nil {
		return nil, err
	}
	size, err := errorSize(ctx, s.address())
	return []Budget{cost, size}, err
}

// answerOf returns an answer with a tag that was never issued.
func answerOf(name string, id protocol.RequestID, proof []byte) refused {
	head := http.Header{"Content-Type": {api.MediaOctets}, api.TagHeader: {protocol.Tag{}.String()}}
	return refused{name, "/v1/challenges/" + id.String() + "/proof", head, proof, protocol.CodeSubmissionRejected}
}

func (b *run) refusalCost(ctx context.Context, s *server, kinds []refused, acceptCPU float64) (Budget, error) {
	p := b.progress("sending requests to be refused", len(kinds)*b.Refusals)
	defer p.Finish()
	transport := &http.Transport{MaxIdleConnsPerHost: 4 * inFlight}
	defer transport.CloseIdleConnections()
	figures := map[string]float64{"accept_cpu_us": acceptCPU}
	var dearest float64
	for _, kind := range kinds {
		used, _, err := s.tree.spent(func() error {
			return b.load(ctx, p, b.Refusals, inFlight, func(ctx context.Context, _ int) error {
				return kind.send(ctx, transport, s.URL())
			})
		})
		if err != nil {
			return Budget{}, fmt.Errorf("%s: %w", kind.name, err)
		}
		each := micros(used, b.Refusals)
		figures[kind.name+"_cpu_us"] = each
		dearest = max(dearest, each)
	}
	return Budget{
		Name: "refused", Bound: atMost, Limit: 0.05, Unit: "x accepted",
		How:     "processor time of the whole server for the dearest kind of refused request over that of an accepted answer",
		Figures: figures,
	}.judge(dearest / acceptCPU), nil
}

// send posts the request and expects the refusal.
func (k *refused) send(ctx context.Context, transport http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+k.path, bytes.NewReader(k.body))
	if err != nil {
		return err
	}
	req.Header = k.head.Clone()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if !bytes.Contains(body, []byte(`"`+k.code.String()+`"`)) {
		return fmt.Errorf("the answer was not %s but %s", k.code.String(), res.Status)
	}
	return nil
}

// maxError is the largest answer an error may have, head and body, in bytes.
const maxError = 4 << 10

// errorSize sends requests that invite long answers and measures them, head
// and body.
func errorSize(ctx context.Context, address string) (Budget, error) {
	figures := map[string]float64{}
	var longest float64
	for name, request := range hostileRequests() {
		n, err := answerSize(ctx, address, request)
		if err != nil {
			return Budget{}, fmt.Errorf("%s: %w", name, err)
		}
		figures[name+"_bytes"] = float64(n)
		longest = max(longest, float64(n))
	}
	return Budget{
		Name: "error_size", Bound: atMost, Limit: maxError, Unit: "bytes",
		How:     "the longest of some error answers, head and body",
		Figures: figures,
	}.judge(longest), nil
}

func hostileRequests() map[string]string {
	var members strings.Builder
	for i := range 200 {
		fmt.Fprintf(&members, `,"m%d":%d`, i, i)
	}
	post := func(path, media, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: td\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, media, len(body), body)
	}
	challenge := func(body string) string { return post("/v1/challenges", api.MediaJSON, body) }
	long := strings.Repeat("x", 3000)
	return map[string]string{
		"no_path":         "GET /" + long + " HTTP/1.1\r\nHost: td\r\nConnection: close\r\n\r\n",
		"no_method":       "PATCH /v1/challenges HTTP/1.1\r\nHost: td\r\nConnection: close\r\n\r\n",
		"bad_path":        "GET /%zz HTTP/1.1\r\nHost: td\r\nConnection: close\r\n\r\n",
		"bad_header":      "GET / HTTP/1.1\r\nHost: td\r\n" + long + "\r\n\r\n",
		"long_header":     "GET / HTTP/1.1\r\nHost: td\r\nX: " + strings.Repeat(long, 10) + "\r\n\r\n",
		"no_http":         "\x16\x03\x01\r\n\r\n",
		"unknown_members": challenge(`{"claim":"open/1"` + members.String() + `}`),
		"unknown_claim":   challenge(`{"claim":"` + long[:64] + `","params":{},"commitment":"` + long[:64] + `"}`),
		"long_value":      challenge(`{"claim":"open/1","params":{"` + long[:1500] + `":1},"commitment":"` + long + `"}`),
		"deep":            challenge(strings.Repeat("[", 1000)),
		"missing_members": challenge(`{}`),
		"media":           post("/v1/challenges", long, "{}"),
		"large":           "POST /v1/challenges HTTP/1.1\r\nHost: td\r\nContent-Type: " + api.MediaJSON + "\r\nContent-Length: 1000000\r\n\r\n", // the body need not follow
		"bad_event":       post("/v1/events", api.MediaJSON, `{"claim":"open/1","params":{},"event":{"a":"`+long+`","a":1}}`),
		"no_receipt":      "GET /v1/receipts/" + strings.Repeat("ab", protocol.IDSize) + " HTTP/1.1\r\nHost: td\r\nConnection: close\r\n\r\n",
		"bad_receipt":     post("/v1/verify", api.MediaReceipt, long),
		"no_epoch":        "GET /v1/epochs/" + long + " HTTP/1.1\r\nHost: td\r\nConnection: close\r\n\r\n",
		"no_tile":         "GET /tile/" + long + " HTTP/1.1\r\nHost: td\r\nConnection: close\r\n\r\n",
	}
}

// answerSize sends one request on a connection of its own and counts the bytes
// of the answer, which must be an error.
func answerSize(ctx context.Context, address, request string) (int64, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	// The server may answer and close before it has read everything, so an error of
	// the write is ignored.
	_, _ = io.WriteString(conn, request)
	r := bufio.NewReader(conn)
	status, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if fields := strings.Fields(status); len(fields) < 2 || fields[1] < "400" {
		return 0, errors.New("the answer is not an error")
	}
	rest, err := io.Copy(io.Discard, r)
	if errors.Is(err, syscall.ECONNRESET) {
		err = nil // what the server did not read
	}
	return int64(len(status)) + rest, err
}
