package addcheckpoint_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/addcheckpoint"
)

// TestRequest: a request survives its encoding, and each other form is malformed.
func TestRequest(t *testing.T) {
	want := addcheckpoint.Request{Old: 300, Proof: tlog.TreeProof{{1}, {2}}, Note: "log\n700\nroot\n\n— log sig\n"}
	got, err := addcheckpoint.ParseRequest(want.Encode())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	hash := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, body := range []string{
		"", "\n\n", "old 1", "old 1\n", "old\n\nx", "old \n\nx", "old -1\n\nx", "old +1\n\nx", "old 01\n\nx", "old 1 \n\nx",
		"old 9223372036854775808\n\nx", "Old 1\n\nx", "1\n\nx", "old 1\r\n\nx",
		"old 1\nAAAA\n\nx", "old 1\n" + hash + " \n\nx", "old 1\n" + hash[:42] + "B=\n\nx", "old 1\n" + hash + "\r\n\nx",
		"old 1\n" + strings.Repeat(hash+"\n", 64) + "\nx",
	} {
		if r, err := addcheckpoint.ParseRequest([]byte(body)); !errors.Is(err, addcheckpoint.ErrMalformed) {
			t.Errorf("%q: %+v, %v", body, r, err)
		}
	}
}
