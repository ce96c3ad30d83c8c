package claim_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files of testdata")
	// release writes the embedded files again. The circuit and key of a released
	// claim never change: a change is a new version of the claim.
	release = flag.Bool("release", false, "rewrite the embedded keys and known answers")
)

// testMembers are the commitments of the secrets 1..n.
func testMembers(n int) []protocol.Member {
	members := make([]protocol.Member, n)
	for i := range members {
		members[i] = protocol.Member(claim.Compress(protocol.SmallElement(uint64(i+1)), protocol.SmallElement(1)))
	}
	return members
}

// TestGates pins the gates and public inputs of every circuit, and their limit.
func TestGates(t *testing.T) {
	var got strings.Builder
	for _, id := range claim.FixedIDs() {
		fmt.Fprintf(&got, "%s %d\n", id, claim.Gates(id))
	}
	for _, n := range []int{1, 2, 3, 100, 1000, claim.MaxMembers} {
		gates, err := claim.GatesWith(claim.Group, testMembers(n))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s members=%d %d\n", claim.Group, n, gates)
	}
	compareGolden(t, "testdata/gates.golden", got.String())
	for _, line := range strings.Split(strings.TrimSpace(got.String()), "\n") {
		var gates int
		if _, err := fmt.Sscan(line[strings.LastIndex(line, " "):], &gates); err != nil || gates > 2048 {
			t.Errorf("%s: more than 2048", line)
		}
	}
}

// TestMaxMembers shows that one member more does not fit.
func TestMaxMembers(t *testing.T) {
	gates, err := claim.GatesWith(claim.Group, testMembers(claim.MaxMembers+1))
	if err != nil || gates <= 2048 {
		t.Errorf("%d members: %d gates, %v; want more than 2048", claim.MaxMembers+1, gates, err)
	}
}

func TestGatesOfNoClaim(t *testing.T) {
	if got := claim.Gates("open/2"); got != 0 {
		t.Errorf("got %d, want 0", got)
	}
	if got, want := claim.Gates(claim.Open), 703; got != want {
		t.Errorf("open/1: got %d, want %d", got, want)
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
