package draft_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// golden is a private file as the package comment describes it.
const golden = `{"version":1,"claim":"open/1","params":"{}","event":"{\"lot\":1}","blind":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","ttl_ms":5000}` + "\n"

func TestPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	blind := protocol.Element{31: 1}
	d, err := client.NewDraft(&client.Submission{Claim: claim.Open, Params: []byte("{}"), Event: []byte(` {"lot": 1}`), TTL: 5 * time.Second}, blind)
	if err != nil {
		t.Fatal(err)
	}
	if err := draft.Write(path, d); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != golden {
		t.Errorf("it is\n%s\nwant\n%s%v", b, golden, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	again, sub, err := draft.Read(path, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if sub.Claim != claim.Open || sub.TTL != 5*time.Second || again.Request().Commitment != d.Request().Commitment || again.Blind() != blind {
		t.Errorf("read again it is %+v", sub)
	}
	if err := draft.Write(path, d); err == nil {
		t.Error("the file was replaced")
	}
}

func TestPrivateFileIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"another version":  strings.Replace(golden, `"version":1`, `"version":2`, 1),
		"no blind":         strings.Replace(golden, `"blind":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",`, "", 1),
		"a blind of zero":  strings.Replace(golden, `AAE"`, `AAA"`, 1),
		"a further member": strings.Replace(golden, `"ttl_ms"`, `"more":1,"ttl_ms"`, 1),
		"a member twice":   strings.Replace(golden, `"ttl_ms"`, `"version":1,"ttl_ms"`, 1),
		"a challenge":      `{"request_id":"00"}`,
	} {
		path := filepath.Join(t.TempDir(), "private")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := draft.Read(path, "", "")
		if f := new(fault.Fault); !errors.As(err, &f) || f.Exit != fault.Usage || !strings.HasSuffix(f.What, "is not the private file of a challenge") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "group")
	if err := os.WriteFile(path, []byte(strings.Replace(golden, "open/1", "group/1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := draft.Read(path, "", ""); err == nil || !strings.HasPrefix(err.Error(), "group/1 needs the member's secret") {
		t.Errorf("group/1 without its files: got %v", err)
	}
}

// TestParseChallenge: a refusal of the server is shown as one.
func TestParseChallenge(t *testing.T) {
	for text, exit := range map[string]int{
		`{"code":"frozen","title":"t"}`: fault.Frozen,
		`{"code":"expired"}`:            fault.Negative,
		`{}`:                            fault.Usage,
		`not JSON`:                      fault.Usage,
	} {
		_, err := draft.ParseChallenge("answer.json", []byte(text))
		if f := new(fault.Fault); !errors.As(err, &f) || f.Exit != exit {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// TestParseChallengeOfTwoRequests: what a file says about two requests is not told as what
// the server says.
func TestParseChallengeOfTwoRequests(t *testing.T) {
	ch := &api.Challenge{RequestID: protocol.RequestID{1}, PublicInputs: []protocol.Element{{}}}
	p := protocol.Payload{Mode: protocol.ModePull, RequestID: ch.RequestID, Seq: 1, TTL: protocol.DefaultTTL}
	for _, id := range []protocol.RequestID{{1}, {2}} {
		ch.RequestID = id
		ch.Payload = api.Payload(p.Encode())
		raw, err := json.Marshal(ch)
		if err != nil {
			t.Fatal(err)
		}
		_, err = draft.ParseChallenge("answer.json", raw)
		f := new(fault.Fault)
		if changed := id != p.RequestID; changed != (errors.As(err, &f) && f.Exit == fault.Usage) || !changed && err != nil {
			t.Errorf("%s: got %v", id, err)
		}
	}
}
