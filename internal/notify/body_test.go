package notify_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/watch"
)

// many returns alerts with scopes that are as long as they can be.
func many(n int) (all []watch.Alert) {
	for i := range n {
		all = append(all, watch.Alert{Rule: "WrongTagsOfClient", Scope: fmt.Sprint("client:", i, strings.Repeat("x", 64)), Severity: watch.Page, State: watch.Firing, Reads: strings.Repeat("reads ", 20)})
	}
	return all
}

// TestBodiesAreBounded: a body fits the store and the frame however many alerts there are,
// and says how many it leaves out.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	b := notify.NoticeBody(watch.Notice{Event: watch.IncidentFired, Alerts: many(100)})
	var body struct {
		Type string
		Data watch.Notice
	}
	if err := json.Unmarshal(b, &body); err != nil || len(b) > notify.MaxBody || body.Type != "alert.fired" || len(body.Data.Alerts) < 5 || len(body.Data.Alerts)+body.Data.More != 100 {
		t.Errorf("%d bytes, %d alerts and %d more, %v", len(b), len(body.Data.Alerts), body.Data.More, err)
	}
	now := time.Now()
	state := notify.StateBody(many(1000), now, time.Minute, "origin", "https://127.0.0.1")
	var list []struct {
		Labels map[string]string
		EndsAt time.Time
	}
	if err := json.Unmarshal(state, &list); err != nil || len(state) > 256<<10 || len(list) < 300 || list[0].Labels["scope"] == "" || !list[0].EndsAt.Equal(now.Add(time.Minute)) {
		t.Errorf("%d bytes, %d alerts, %v", len(state), len(list), err)
	}
}
