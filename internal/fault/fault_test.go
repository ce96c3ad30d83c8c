package fault_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

func TestOf(t *testing.T) {
	refused := protocol.Wrap(protocol.CodeFrozen, "acceptance is held", errors.New("secret"))
	for _, tt := range []struct {
		name string
		err  error
		want fault.Fault
	}{
		{"a fault", fault.New(fault.Denied, "what", "hint"), fault.Fault{Exit: fault.Denied, What: "what", Hint: "hint"}},
		{"a fault inside", fmt.Errorf("around: %w", fault.New(fault.Denied, "what", "")), fault.Fault{Exit: fault.Denied, What: "what"}},
		{"a refusal", refused, fault.Fault{Exit: fault.Frozen, What: "acceptance is held", Code: protocol.CodeFrozen}},
		{"a bare code", protocol.Fail(protocol.CodeExpired, ""), fault.Fault{Exit: fault.Negative, What: "expired", Code: protocol.CodeExpired}},
		{"any other", errors.New("broken"), fault.Fault{Exit: fault.Unexpected, What: "broken"}},
	} {
		if got := fault.Of(tt.err); *got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, *got, tt.want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	got := []string{"unavailable", "flagged", "other", "contradicted", "unvouched"}
	slices.SortFunc(got, func(a, b string) int { return fault.Rank(a) - fault.Rank(b) })
	if want := []string{"contradicted", "other", "flagged", "unvouched", "unavailable"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if exit := fault.ExitOfVerdict("other"); exit != fault.Negative {
		t.Errorf("another verdict has the exit status %d", exit)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"submit", "serve", "log", "max_sessions"}
	for typed, want := range map[string]string{
		"sumbit": "submit", "subm": "submit", "lgo": "log", "lo": "log", "max_sesions": "max_sessions",
		"log": "", "x": "", "verify": "", "": "",
	} {
		if got := fault.Nearest(typed, words); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
