// Package accesslog reads access logs of web servers in the common or combined format as
// requests to this server, so that limits and detectors can be tried on real traffic. Files
// are tiles, feeds are checkpoints, pages are challenges, and what was posted is a proof.
package accesslog

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Kind is what a path asks for.
type Kind string

// The kinds.
const (
	File Kind = "file"
	Page Kind = "page"
	Poll Kind = "poll" // feeds, robots.txt and favicon.ico
)

// KindOf returns the kind of a path.
func KindOf(target string) Kind {
	target, _, query := strings.Cut(target, "?")
	name, ext := path.Base(target), path.Ext(target)
	switch {
	case name == "robots.txt" || name == "favicon.ico" || strings.Contains(name, "rss") || strings.Contains(name, "feed") || ext == ".xml" || ext == ".atom":
		return Poll
	case ext == "" || ext == ".html" || ext == ".php" || query:
		return Page
	}
	return File
}

// Request returns a line of an access log as a request to this server.
func Request(at time.Time, from netip.Addr, method string, kind Kind, status int, sent int64) telemetry.Request {
	q := telemetry.Request{At: at, Operation: "getTile", Source: from, Status: status, Sent: sent}
	switch {
	case method == "POST":
		q.Operation = "sendProof"
	case kind == Page:
		q.Operation = "openChallenge"
	case kind == Poll:
		q.Operation = "getCheckpoint"
	}
	q.Code = codeOf(status)
	q.Cause = telemetry.CauseOf(codeError(q.Code))
	return q
}

// codeError returns nil for a success, for which there is no error.
func codeError(c protocol.Code) error {
	if c == protocol.CodeNone {
		return nil
	}
	return c
}

func codeOf(status int) protocol.Code {
	switch {
	case status < 400:
		return protocol.CodeNone
	case status >= 500:
		return protocol.CodeInternal
	case status == 401:
		return protocol.CodeUnauthenticated
	case status == 403:
		return protocol.CodeForbidden
	case status == 429:
		return protocol.CodeRateLimited
	case status == 404 || status == 410:
		return protocol.CodeNotFound
	}
	return protocol.CodeMalformedRequest
}

// maxLine bounds a line.
const maxLine = 1 << 16

// Read calls each for every line, and returns how many lines it could not read. It is an
// error if there are more of these than others.
func Read(from io.Reader, each func(telemetry.Request)) (bad int, err error) {
	lines, good := bufio.NewScanner(from), 0
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		if q, ok := parse(lines.Text()); ok {
			good++
			each(q)
		} else {
			bad++
		}
	}
	if err := lines.Err(); err != nil {
		return bad, fmt.Errorf("line %d: %w", good+bad+1, err)
	}
	if bad > good {
		return bad, fmt.Errorf("not an access log: %d of %d lines are not in the common format", bad, good+bad)
	}
	return bad, nil
}

// parse parses a line: address, identity, user, [time], "method path protocol", status and
// size; what follows is not read.
func parse(line string) (q telemetry.Request, ok bool) {
	before, rest, ok1 := strings.Cut(line, " [")
	when, rest, ok2 := strings.Cut(rest, `] "`)
	request, rest, ok3 := strings.Cut(rest, `" `)
	if !ok1 || !ok2 || !ok3 {
		return q, false
	}
	address, _, _ := strings.Cut(before, " ")
	from, err := netip.ParseAddr(address)
	if err != nil {
		return q, false
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", when)
	if err != nil {
		return q, false
	}
	method, target, _ := strings.Cut(request, " ")
	target, _, _ = strings.Cut(target, " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return q, false
	}
	status, err := strconv.Atoi(fields[0])
	if err != nil || status < 100 || status > 999 {
		return q, false
	}
	sent, _ := strconv.ParseInt(fields[1], 10, 64) // "-" is 0
	return Request(at, from, method, KindOf(target), status, max(sent, 0)), true
}
