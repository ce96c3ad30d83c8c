package keyholder_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
)

// No verb, logger or encoder prints a key.
func TestSecretsDoNotPrint(t *testing.T) {
	for _, secret := range keyholder.Secrets() {
		name := strings.TrimPrefix(fmt.Sprintf("%T", secret), "*keyholder.")
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%e", "%t", "%U"} {
			if got := fmt.Sprintf(verb, secret); got != "redacted" {
				t.Errorf("%s prints %.40q by %s", name, got, verb)
			}
		}
		if got := fmt.Errorf("it was %v", secret).Error(); got != "it was redacted" {
			t.Errorf("%s prints %.40q in an error", name, got)
		}
		if b, err := json.Marshal(secret); err != nil || string(b) != `"redacted"` {
			t.Errorf("%s encodes as %.40q, %v", name, b, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", secret)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "secret", secret)
		if !strings.Contains(log.String(), "secret=redacted\n") || !strings.HasSuffix(log.String(), `"secret":"redacted"}`+"\n") {
			t.Errorf("%s logs as %.200q", name, log.String())
		}
	}
}
