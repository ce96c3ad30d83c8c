package receipt_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The script of docs/verify-without-us.md is a second program that reads
// receipts, and shares no code with this one.
func TestAuditorsScript(t *testing.T) {
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the auditor's script was not run: %s is not installed", tool)
		}
	}
	page := string(read(t, "../docs/verify-without-us.md"))
	_, rest, ok := strings.Cut(page, "```python\n")
	script, _, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("the page has no script")
	}
	audit := func(t *testing.T, receipt []byte) (string, error) {
		t.Helper()
		dir := t.TempDir()
		for name, b := range map[string][]byte{"audit.py": []byte(script), "receipt.json": receipt} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.CommandContext(t.Context(), "python3", filepath.Join(dir, "audit.py"), filepath.Join(dir, "receipt.json")).CombinedOutput()
		return string(out), err
	}
	for _, file := range []string{goldenReceipt, goldenFlagged} {
		if out, err := audit(t, read(t, file)); err != nil || !strings.Contains(out, "log "+testOrigin+" logged range/1") {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
	good := read(t, goldenReceipt)
	for name, bad := range map[string][]byte{
		"leaf":   bytes.Replace(good, []byte(`{"version":1,"leaf":"VERMRUFGMDEAAQAAAAAAAAAF`), []byte(`{"version":1,"leaf":"VERMRUFGMDEAAQAAAAAAAAAG`), 1),
		"origin": bytes.ReplaceAll(good, []byte(`0123456789abcdef`), []byte(`0123456789abcdee`)),
	} {
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if out, err := audit(t, bad); err == nil {
			t.Errorf("%s: was passed\n%s", name, out)
		}
	}
}
