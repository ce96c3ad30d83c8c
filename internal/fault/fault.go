// Package fault is the type of every refusal that a person reads: what happened, what
// to do about it, the protocol's code, and the exit status for scripts.
//
// The exit statuses of td are:
//
//	0    ok
//	1    unexpected
//	2    wrong use: a flag, an argument, a file of the user
//	3    negative: invalid, or refused by the server
//	4    not found
//	5    denied
//	6    frozen
//	7    unavailable: no answer, or a copy that cannot be read
//	8    configuration, or a machine that does not offer what is asked for
//	9    rate limited
//	10   contradicted
//	11   unvouched
//	12   flagged
//	130  interrupted
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/terradourada/td/protocol"
)

// Exit statuses.
const (
	OK          = 0
	Unexpected  = 1
	Usage       = 2
	Negative    = 3
	NotFound    = 4
	Denied      = 5
	Frozen      = 6
	Unavailable = 7
	Config      = 8
	RateLimited = 9

	Contradicted = 10
	Unvouched    = 11
	Flagged      = 12

	Interrupted = 130
)

// Fault is an error in words.
type Fault struct {
	Exit int           // the exit status
	What string        // what happened, lower case, without a period
	Hint string        // what to do; "" if there is nothing to say
	Code protocol.Code // CodeNone if it is no refusal of the protocol
}

// Error returns what happened.
func (f *Fault) Error() string { return f.What }

// New returns a fault that is no refusal of the protocol.
func New(exit int, what, hint string) error { return &Fault{Exit: exit, What: what, Hint: hint} }

// Explain returns the text that an error, such as claim.Refusal, has for the holder of
// the input. It returns "" if there is none. Servers must not call it.
func Explain(err error) string {
	var e interface{ Explain() string }
	if errors.As(err, &e) {
		return e.Explain()
	}
	return ""
}

// Of returns the fault inside an error. An error that holds none becomes one: a refusal
// of the protocol with the status of its code, any other with the status [Unexpected].
func Of(err error) *Fault {
	var known *Fault
	var refused *protocol.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return &Fault{Exit: ExitOf(refused.Code), What: cmp.Or(Explain(err), refused.Detail, refused.Code.String()), Code: refused.Code}
	}
	return &Fault{Exit: Unexpected, What: err.Error()}
}

// exits holds the exit statuses of the protocol's codes. The others are [Negative].
var exits = map[protocol.Code]int{
	protocol.CodeNone:             Unexpected,
	protocol.CodeInternal:         Unexpected,
	protocol.CodeMalformedRequest: Usage,
	protocol.CodeUnknownClaim:     Usage,
	protocol.CodeTooLarge:         Usage,
	protocol.CodeNotFound:         NotFound,
	protocol.CodeUnauthenticated:  Denied,
	protocol.CodeForbidden:        Denied,
	protocol.CodeFrozen:           Frozen,
	protocol.CodeRateLimited:      RateLimited,
}

// ExitOf returns the exit status of a refusal.
func ExitOf(c protocol.Code) int {
	if exit, ok := exits[c]; ok {
		return exit
	}
	return Negative
}

// verdicts lists the negative verdicts of package receipt, the one that counts most
// first.
var verdicts = []struct {
	verdict string
	exit    int
}{
	{"contradicted", Contradicted},
	{"invalid", Negative},
	{"flagged", Flagged},
	{"unvouched", Unvouched},
	{"unavailable", Unavailable},
}

// ExitOfVerdict returns the exit status of a negative verdict of a receipt or a log.
func ExitOfVerdict(verdict string) int { return verdicts[Rank(verdict)].exit }

// Rank returns the rank of a negative verdict: of several the one with the least rank
// counts. A verdict that is not in the table counts as invalid.
func Rank(verdict string) int {
	for i := range verdicts {
		if verdicts[i].verdict == verdict {
			return i
		}
	}
	return Rank("invalid")
}

// DidYouMean returns a hint with the word that the user may have meant, or otherwise
// if no word is near.
func DidYouMean(typed string, words []string, otherwise string) string {
	if near := Nearest(typed, words); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return otherwise
}

// Nearest returns the word that differs from s by the fewest edits: at most two, and
// fewer than half of the word's letters. It returns "" if there is none, or if s is one
// of the words.
func Nearest(s string, words []string) string {
	if slices.Contains(words, s) {
		return ""
	}
	best, least := "", 3
	for _, w := range words {
		if d := edits(s, w); d < least && 2*d < len(w) {
			best, least = w, d
		}
	}
	return best
}

// edits counts the insertions, deletions, changes and swaps of neighbours that turn a
// into b.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[2][0] = i
		for j := 1; j <= len(b); j++ {
			change := rows[1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[2][j] = min(rows[1][j]+1, rows[2][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[2][j] = min(rows[2][j], rows[0][j-2]+1)
			}
		}
		rows[0], rows[1], rows[2] = rows[1], rows[2], rows[0]
	}
	return rows[1][len(b)]
}
