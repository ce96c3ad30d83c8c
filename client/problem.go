package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// Problem is an error answer of the server. Code is its kind:
// errors.Is(err, protocol.CodeFrozen) compares it.
type Problem = api.Problem

// problemOf reads an error answer. One that is no problem document, as of a proxy,
// is a [ForeignError] with a problem by its status alone.
func problemOf(res *http.Response) error {
	p := &Problem{
		Title:      fmt.Sprintf("The server answered with status %d.", res.StatusCode),
		Status:     res.StatusCode,
		Code:       codeOfStatus(res.StatusCode),
		Retryable:  later(res.StatusCode),
		RetryAfter: retryAfter(res.Header.Get("Retry-After")),
	}
	body, err := readAtMost(res.Body, 2*api.MaxProblem)
	if mediaType(res) != api.MediaProblem {
		if res.StatusCode == http.StatusBadRequest && isTLSHint(body) {
			return ErrTLS
		}
		return &ForeignError{p, describe(res)}
	}
	if err == nil {
		fill(p, body)
	}
	return p
}

// isTLSHint recognises what servers in Go, and nginx, answer to a plain request
// on a port of TLS.
func isTLSHint(body []byte) bool {
	return bytes.Contains(body, []byte("HTTP request to an HTTPS server")) || bytes.Contains(body, []byte("plain HTTP request was sent to HTTPS port"))
}

// fill copies the members of a problem document. The code of a later version is replaced
// by that of the status.
func fill(p *Problem, body []byte) {
	var doc struct {
		Type      string              `json:"type"`
		Title     string              `json:"title"`
		Code      string              `json:"code"`
		Detail    string              `json:"detail"`
		RequestID *protocol.RequestID `json:"request_id"`
		Retryable bool                `json:"retryable"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return
	}
	if code, known := protocol.ParseCode(doc.Code); known {
		p.Code = code
	}
	p.Type, p.Title, p.Detail = printable(doc.Type), printable(doc.Title), printable(doc.Detail)
	p.RequestID = doc.RequestID
	p.Retryable = p.Retryable && doc.Retryable
}

// printable drops characters that could control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

// later reports whether a status means that the same request may succeed later.
func later(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// codeOfStatus returns the nearest code of a status.
func codeOfStatus(status int) protocol.Code {
	switch status {
	case http.StatusUnauthorized:
		return protocol.CodeUnauthenticated
	case http.StatusForbidden:
		return protocol.CodeForbidden
	case http.StatusNotFound:
		return protocol.CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return protocol.CodeTooLarge
	case http.StatusTooManyRequests:
		return protocol.CodeRateLimited
	case http.StatusServiceUnavailable:
		return protocol.CodeOverloaded
	default:
		return protocol.CodeInternal
	}
}

// retryAfter parses the header in both forms, seconds and a date. It returns 0 for any
// other text.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
