package notify

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/terradourada/td/internal/watch"
)

// payload is the body of a webhook, in the form that Standard Webhooks recommends.
type payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// The types of messages that are no events of an incident.
const (
	TypeTest      = "alert.test"
	TypeHeartbeat = "heartbeat"
)

// Body returns the body of a message to a webhook.
func Body(kind string, at time.Time, data any) []byte {
	b, err := json.Marshal(payload{kind, at.UTC(), data})
	if err != nil {
		panic("notify: internal error: a message does not encode: " + err.Error())
	}
	return b
}

// NoticeBody returns the body of a notice. Alerts that do not fit are only counted.
func NoticeBody(n watch.Notice) []byte {
	for {
		b := Body(string(n.Event), n.At, n)
		if len(b) <= MaxBody || len(n.Alerts) == 0 {
			return b
		}
		n.Alerts = n.Alerts[:len(n.Alerts)-1]
		n.More++
	}
}

// posted is an alert as the API of Alertmanager, version 2, takes it.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
}

// StateBody returns the body of a sync: every alert, of which those that fire end by
// themselves if no further sync comes. origin names the server among others, and base is
// its address. No sync is longer than a frame: the last alerts are left out.
func StateBody(alerts []watch.Alert, now time.Time, valid time.Duration, origin, base string) []byte {
	for {
		list := make([]posted, 0, len(alerts))
		for i := range alerts {
			list = append(list, post(&alerts[i], now.Add(valid), origin, base))
		}
		b, err := json.Marshal(list)
		if err != nil {
			panic("notify: internal error: an alert does not encode: " + err.Error())
		}
		if len(b) <= maxFrame/2 { // base64 makes it a third longer
			return b
		}
		alerts = alerts[:len(alerts)*3/4]
	}
}

func post(a *watch.Alert, until time.Time, origin, base string) posted {
	p := posted{
		Labels: map[string]string{
			"alertname": a.Rule, "severity": a.Severity.String(), "scope": a.Scope, "service": "terradourada", "origin": origin,
		},
		Annotations: map[string]string{
			"summary":     fmt.Sprintf("%s: %s", a.Rule, a.Reads),
			"description": fmt.Sprintf("%s is %.4g, worst %.4g, threshold %.4g, for %s", a.Reads, a.Value, a.Peak, a.Threshold, a.Scope),
			"runbook":     a.Runbook, "fingerprint": a.Fingerprint,
		},
		StartsAt: a.Since.UTC(), EndsAt: until.UTC(), GeneratorURL: base + "/v1/status",
	}
	if a.Sentence != "" {
		p.Annotations["sentence"] = a.Sentence
	}
	if a.Ended != nil {
		p.EndsAt = a.Ended.UTC()
	}
	return p
}
