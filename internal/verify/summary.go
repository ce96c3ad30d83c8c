package verify

import (
	"fmt"
	"strings"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/receipt"
)

// Summary counts the files by what they are: a file with a positive verdict by that, any
// other by the verdict that makes it negative.
type Summary struct {
	Files        int `json:"files"`
	Valid        int `json:"valid"`
	Flagged      int `json:"flagged"`
	Unvouched    int `json:"unvouched"`
	Invalid      int `json:"invalid"`
	Contradicted int `json:"contradicted"`
	Unavailable  int `json:"unavailable"`
	Unreadable   int `json:"unreadable"`
	// Complete reports that every file was looked at.
	Complete bool `json:"complete"`

	negative int      // files whose verdict is negative, without unreadable ones
	worst    *Verdict // of the negative and unreadable ones
}

// String returns the summary in one line.
func (s *Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: valid %d, flagged %d, unvouched %d, invalid %d, contradicted %d, unavailable %d, unreadable %d",
		termui.Count(s.Files, "file"), s.Valid, s.Flagged, s.Unvouched, s.Invalid, s.Contradicted, s.Unavailable, s.Unreadable)
	if !s.Complete {
		b.WriteString("; not all files were looked at")
	}
	return b.String()
}

// add counts a file.
func (s *Summary) add(v *Verdict) {
	s.Files++
	kind := v.Verdict
	if !v.OK {
		kind = v.negative()
	}
	switch kind {
	case receipt.Valid:
		s.Valid++
	case receipt.Flagged:
		s.Flagged++
	case receipt.Unvouched:
		s.Unvouched++
	case receipt.Contradicted:
		s.Contradicted++
	case receipt.Unavailable:
		s.Unavailable++
	case Unreadable:
		s.Unreadable++
	default:
		s.Invalid++
	}
	if v.OK {
		return
	}
	if kind != Unreadable {
		s.negative++
	}
	if s.worst == nil || v.rank() < s.worst.rank() {
		s.worst = v
	}
}

// err returns the error about the file that counts most, or nil.
func (s *Summary) err(server *remote.Server) error {
	switch {
	case s.worst == nil:
		return nil
	case s.negative > 0:
		what := fmt.Sprintf("%d of %d receipts have a negative verdict", s.negative, s.Files)
		if s.Unreadable > 0 {
			what += fmt.Sprintf(", and %d could not be read", s.Unreadable)
		}
		worst := s.worst.negative()
		return fault.New(fault.ExitOfVerdict(worst), what, remote.Advice(worst, s.worst.Reason, server))
	case s.Files == 1:
		return s.worst.unread
	}
	first := fault.Of(s.worst.unread)
	return fault.New(first.Exit, fmt.Sprintf("%d of %d files could not be read", s.Unreadable, s.Files), "the first: "+first.What)
}
