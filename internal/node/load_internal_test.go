package node

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestLoad: the metrics of the listener are those of its connections, places and queue.
func TestLoad(t *testing.T) {
	t.Parallel()
	n := recordsNode(t)
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	scrape := func() string {
		w := httptest.NewRecorder()
		n.reporting.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	_ = scrape() // before there is anything to measure
	n.makeHTTP(n.serverConfig())
	n.health.serving.Store(n.reader)
	first, second := peer{nil, net.IPv4(192, 0, 2, 1)}, peer{nil, net.IPv4(192, 0, 2, 2)}
	for _, s := range []struct {
		conn  net.Conn
		state http.ConnState
	}{
		{&first, http.StateNew},
		{&second, http.StateNew},
		{&first, http.StateActive},
		{&first, http.StateIdle},
		{&second, http.StateClosed},
	} {
		n.http.ConnState(s.conn, s.state)
	}
	got := scrape()
	for _, line := range []string{
		"http_connections 1", `http_requests_in_flight{class="issue"} 0`, `concurrency_limit{class="health"} 16`,
		`queue_depth{class="submit"} 0`, "issue_pace_per_second ",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
	if strings.Contains(got, "issue_pace_per_second 0\n") {
		t.Error("no challenge may be issued")
	}
}
