package remote

import (
	"errors"
	"testing"

	"github.com/terradourada/td/internal/fault"
)

func TestUserID(t *testing.T) {
	for name, want := range map[string]uint32{"": 0, "0": 0, "root": 0, "61234": 61234, "4294967295": 4294967295} {
		if got, err := userID(name); err != nil || got != want {
			t.Errorf("%q: %d, %v", name, got, err)
		}
	}
	var f *fault.Fault
	for _, name := range []string{"-1", "4294967296", "no such user", "1.5"} {
		if got, err := userID(name); !errors.As(err, &f) || f.Exit != fault.Usage {
			t.Errorf("%q: %d, %v", name, got, err)
		}
	}
}
