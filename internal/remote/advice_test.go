package remote_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/receipt"
)

// TestAdvice: each reason has its own way out.
func TestAdvice(t *testing.T) {
	server, err := remote.Dial("http://localhost:8080", remote.Patience{})
	if err != nil {
		t.Fatal(err)
	}
	const url = "http://127.0.0.1:8080"
	for name, tt := range map[string]struct {
		verdict string
		reason  error
		server  *remote.Server
		want    string
		never   string
	}{
		"contradicted":        {receipt.Contradicted, &receipt.ContradictionError{Vouched: true}, server, "as evidence", "trust add"},
		"contradicted live":   {receipt.Unvouched, &receipt.ContradictionError{Live: true}, server, "ask the operator", "trust add"},
		"contradicted by any": {receipt.Unvouched, &receipt.ContradictionError{}, nil, "ask where this comes from", "trust add"},
		"set back":            {receipt.Unvouched, &receipt.SetBackError{}, server, "keep the trust store and ask the operator", "trust add"},
		"an old copy":         {receipt.Unavailable, &receipt.ShortError{}, nil, "get a newer copy", "trust add"},
		"an old server":       {receipt.Unavailable, &receipt.ShortError{}, server, "ask the operator", "trust add"},
		"foreign listener":    {receipt.Unvouched, errors.Join(receipt.ErrOtherKey, &client.NotLiveError{Owner: 3001}), server, "--server-user 3001", "trust add"},
		"plain HTTP":          {receipt.Unvouched, errors.Join(receipt.ErrUnknownLog, &client.NotLiveError{}), server, "use https, or its loopback address", "--server-user"},
		"another server":      {receipt.Unvouched, &receipt.BindingError{Server: url}, server, "td trust add --server " + url, "URL"},
		"no server":           {receipt.Unvouched, receipt.ErrNoServer, server, "td trust add --server " + url + " binds it", "URL"},
		"unknown":             {receipt.Unvouched, receipt.ErrUnknownLog, server, "td trust add --server " + url, "URL"},
		"unknown, no server":  {receipt.Unvouched, receipt.ErrUnknownLog, nil, "td trust add --server URL", ""},
		"other key":           {receipt.Unvouched, receipt.ErrOtherKey, nil, "--from-operator FILE or --policy FILE", ""},
		"no log":              {receipt.Unvouched, receipt.ErrNoLog, nil, "--log URL or DIR", "trust add"},
		"a false proof":       {receipt.Unvouched, receipt.ErrNotShown, server, "from another place", "trust add"},
		"a policy":            {receipt.Unvouched, errors.New("other"), nil, "failed step", "trust add"},
		"damaged":             {receipt.Unavailable, &receipt.DamagedError{File: "/f", Line: 2}, nil, "put back a copy of /f; do not delete it", "import"},
		"unreadable":          {receipt.Unavailable, &fs.PathError{Op: "open", Path: "/d", Err: fs.ErrPermission}, nil, "read /d", "import"},
		"told before":         {receipt.Unavailable, &fault.Fault{Hint: "do this"}, server, "do this", ""},
		"nothing known":       {receipt.Unavailable, nil, nil, "named above", ""},
		"flagged":             {receipt.Flagged, nil, nil, "--strict", ""},
	} {
		got := remote.Advice(tt.verdict, tt.reason, tt.server)
		if !strings.Contains(got, tt.want) || tt.never != "" && strings.Contains(got, tt.never) {
			t.Errorf("%s: %q, want %q and never %q", name, got, tt.want, tt.never)
		}
	}
}

// TestVerdictExits: package fault knows the negative verdicts of package receipt.
func TestVerdictExits(t *testing.T) {
	for verdict, want := range map[string]int{
		receipt.Contradicted: fault.Contradicted, receipt.Invalid: fault.Negative, receipt.Flagged: fault.Flagged,
		receipt.Unvouched: fault.Unvouched, receipt.Unavailable: fault.Unavailable,
	} {
		if got := fault.ExitOfVerdict(verdict); got != want {
			t.Errorf("%s: exit status %d, want %d", verdict, got, want)
		}
	}
}
