package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/secret"
)

// No verb, logger or encoder prints a redacted value.
func TestRedactedDoesNotPrint(t *testing.T) {
	type key struct {
		secret.Redacted
		Bytes [4]byte
	}
	value := key{Bytes: [4]byte{0xde, 0xad, 0xbe, 0xef}}
	region, err := secret.New(1, secret.Plain)
	if err != nil {
		t.Fatal(err)
	}
	defer region.Close()
	// The digits of a time may be those of a byte.
	timeless := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	for name, v := range map[string]any{"value": value, "pointer": &value, "region": region} {
		for verb := range 128 {
			if verb == '%' || verb < ' ' {
				continue
			}
			for _, flags := range []string{"", "+", "#", "-8", "08", " "} {
				format := "%" + flags + string(rune(verb))
				if strings.ContainsRune(" +-#0123456789.*[pTw", rune(verb)) {
					continue // no verb; or address, type and error, which need no method
				}
				if got := fmt.Sprintf(format, v); got != "redacted" {
					t.Errorf("%s prints as %.40q by %q", name, got, format)
				}
			}
		}
		if got := fmt.Sprint([]any{v}, map[string]any{"k": v}); got != "[redacted] map[k:redacted]" {
			t.Errorf("%s prints as %.80q inside of others", name, got)
		}
		if got := fmt.Errorf("could not: %v", v).Error(); got != "could not: redacted" {
			t.Errorf("%s prints as %.80q in an error", name, got)
		}
		if b, err := json.Marshal(map[string]any{"k": v}); err != nil || string(b) != `{"k":"redacted"}` {
			t.Errorf("%s encodes as %.80q, %v", name, b, err)
		}
		for _, h := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, timeless) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, timeless) },
		} {
			var log bytes.Buffer
			slog.New(h(&log)).WithGroup("g").Error("m", "secret", v, "other", v)
			if got := log.String(); strings.Count(got, "redacted") != 2 || strings.Contains(got, "222") || strings.Contains(got, "dead") {
				t.Errorf("%s logs as %.200q", name, got)
			}
		}
	}
}
