package td_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// accepted holds a directory for each release, with the files that its own td
// wrote; see the README there.
const accepted = "testdata/accepted"

// TestAccepted: what an earlier release issued is valid for this one, and
// refused with any bit changed.
func TestAccepted(t *testing.T) {
	releases := match(t, accepted, "v*")
	for _, release := range releases {
		t.Run(filepath.Base(release), func(t *testing.T) {
			options := acceptedOptions(t, release)
			for _, file := range match(t, release, "*.receipt.json") {
				checkAccepted(t, file, options)
			}
		})
	}
	for _, id := range claim.IDs() {
		newest := releases[len(releases)-1]
		if _, err := os.Stat(filepath.Join(newest, fileOf(id))); err != nil {
			t.Errorf("%s has no receipt of %s", newest, id)
		}
	}
}

func fileOf(id claim.ID) string { return strings.ReplaceAll(string(id), "/", "-") + ".receipt.json" }

func match(t *testing.T, dir, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("nothing like %s in %s: %v", pattern, dir, err)
	}
	slices.Sort(files)
	return files
}

func contents(t *testing.T, elements ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// acceptedOptions returns a verifier that has only the release's own
// directory: the checkpoints its client pinned and the member lists it kept.
func acceptedOptions(t *testing.T, release string) receipt.Options {
	t.Helper()
	trust, err := receipt.OpenTrust(filepath.Join(release, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := trust.Lists()
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Options{Trust: trust, Lists: receipt.NewLists(lists...)}
}

func checkAccepted(t *testing.T, file string, o receipt.Options) {
	t.Helper()
	raw := contents(t, file)
	opening, err := receipt.ParseOpening(contents(t, strings.TrimSuffix(file, ".receipt.json")+".opening"))
	if err != nil {
		t.Fatalf("%s: opening: %v", file, err)
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%s is not what this release would write: %v", file, err)
	}
	withOpening := o
	withOpening.Opening, withOpening.Client = opening, protocol.LocalClient
	for _, o := range []receipt.Options{o, withOpening} {
		p := receipt.Verify(t.Context(), r, o)
		if !p.OK || p.Verdict != receipt.Valid || p.Identity != receipt.Pinned || len(p.Steps) != 9 {
			t.Errorf("%s: got %+v, want valid and pinned by nine steps", file, p)
		}
		for _, s := range p.Steps {
			if !s.OK {
				t.Errorf("%s: step %s: %s", file, s.Step, s.Detail)
			}
		}
	}
	const bits = 32 // spread evenly; package receipt tests every bit
	for i := range bits {
		at := len(raw)*8/bits*i + 3*i%8
		bad := bytes.Clone(raw)
		bad[at/8] ^= 1 << (at % 8)
		if r, err := receipt.Parse(bad); err == nil && receipt.Verify(t.Context(), r, o).OK {
			t.Errorf("%s verifies with bit %d flipped", file, at)
		}
	}
}

// TestAcceptedKeys: every verifying key of a release is one of this build, and
// its list files still have the same keys.
func TestAcceptedKeys(t *testing.T) {
	for _, release := range match(t, accepted, "v*") {
		ours := map[string]bool{}
		for _, id := range claim.IDs() {
			if key, known := claim.KnownKey(id); known {
				ours[fmt.Sprintf("%s %s", id, key.Fingerprint(id, protocol.ListID{}))] = true
			}
		}
		trust, err := receipt.OpenTrust(filepath.Join(release, "trust"))
		if err != nil {
			t.Fatal(err)
		}
		lists, err := trust.Lists()
		if err != nil || len(lists) == 0 {
			t.Fatalf("member lists of %s: %d, %v", release, len(lists), err)
		}
		for _, l := range lists {
			key, err := l.VerifyingKey()
			if err != nil {
				t.Fatal(err)
			}
			ours[fmt.Sprintf("%s %s %s", claim.Group, l.ID(), key.Fingerprint(claim.Group, l.ID()))] = true
		}
		theirs := strings.Split(strings.TrimSpace(string(contents(t, release, "keys.txt"))), "\n")
		if len(theirs) < len(claim.IDs()) {
			t.Errorf("%s names %d keys", release, len(theirs))
		}
		for _, line := range theirs {
			if !ours[line] {
				t.Errorf("key of %s is not one of this build: %s", release, line)
			}
		}
	}
}
