package memberlist_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/memberlist"
	"github.com/terradourada/td/protocol"
)

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "list.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadAll(t *testing.T) {
	list, err := claim.NewList("board", []protocol.Member{claim.NewMemberSecret().Member()})
	if err != nil {
		t.Fatal(err)
	}
	good, same, other := write(t, list.Encode()), write(t, list.Encode()), write(t, []byte(`{"name":"board"}`))
	if lists, err := memberlist.ReadAll([]string{good}); err != nil || len(lists) != 1 || lists[0].ID() != list.ID() {
		t.Errorf("%v, %v", lists, err)
	}
	for _, c := range []struct {
		second, hint string
		exit         int
	}{
		{same, "", fault.Config},
		{other, "td claims list-file writes one", fault.Config},
		{good + "x", "", fault.NotFound},
	} {
		var f *fault.Fault
		if _, err := memberlist.ReadAll([]string{good, c.second}); !errors.As(err, &f) || f.Exit != c.exit || f.Hint != c.hint {
			t.Errorf("%s: %v", c.second, err)
		}
	}
}
