package node

import (
	"bytes"
	"flag"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/telemetry/metrics"
)

var update = flag.Bool("update", false, "write docs/reference/metrics.md")

//go:generate go test -count=1 -run ^TestMetricsReference$ -update .

// TestMetricsReference: docs/reference/metrics.md is what the table says, with the labels
// of this program.
func TestMetricsReference(t *testing.T) {
	const file = "../../docs/reference/metrics.md"
	want := []byte(metrics.Reference(metricLabels()))
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the table says: make docs (%v)", file, err)
	}
}

// TestSeries: a server has no more than 2,000 series.
func TestSeries(t *testing.T) {
	m := metrics.New(metrics.Options{Labels: metricLabels(), Version: "1.0", Process: true})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	if n := strings.Count(text, "\n") - strings.Count(text, "# "); n > 2000 || n < 500 {
		t.Errorf("%d series", n)
	}
}
