package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
)

type answerFunc = func(*http.Request) (*http.Response, error)

func refused(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
}

// The calls: a challenge and a push are not the same if they are made twice, a proof is.
var calls = map[string]func(context.Context, *client.Client) error{
	"challenge": func(ctx context.Context, c *client.Client) error {
		_, err := c.Challenge(ctx, api.ChallengeRequest{Claim: "open/1", Params: []byte("{}")})
		return err
	},
	"push": func(ctx context.Context, c *client.Client) error {
		e, err := claim.Prepare(claim.Open, []byte("{}"), []byte(`{"a":1}`))
		if err == nil {
			_, err = c.Push(ctx, e, 0, 0)
		}
		return err
	},
	"proof": func(ctx context.Context, c *client.Client) error {
		_, err := c.Send(ctx, anID, protocol.Tag{}, []byte("p"), 0)
		return err
	},
}

// TestPatience: a patient client rides over what passes, as long as Patience allows, and
// returns the last reason.
func TestPatience(t *testing.T) {
	const minute = time.Minute
	busy, frozen := problem(protocol.CodeOverloaded, 503, "1"), problem(protocol.CodeFrozen, 503, "60")
	draining, limited := problem(protocol.CodeDraining, 503, "2"), problem(protocol.CodeRateLimited, 429, "30")
	gateway := response(502, "text/html", "<html>")
	prover := problem(protocol.CodeProverBadResponse, 502, "")
	conflict := problem(protocol.CodeConflict, 409, "")
	missing := problem(protocol.CodeNotFound, 404, "")
	for name, tt := range map[string]struct {
		call        string
		answers     []answerFunc
		tries       [2]int // least and most
		code        protocol.Code
		least, most time.Duration
	}{
		"a restart":                  {"challenge", []answerFunc{refused, refused, draining, missing}, [2]int{4, 4}, protocol.CodeNotFound, 2 * time.Second, 3300 * time.Millisecond},
		"a restart before a push":    {"push", []answerFunc{refused, missing}, [2]int{2, 2}, protocol.CodeNotFound, 100 * time.Millisecond, 200 * time.Millisecond},
		"never up again":             {"challenge", []answerFunc{refused}, [2]int{12, 40}, protocol.CodeInternal, minute, minute},
		"busy for ever":              {"proof", []answerFunc{busy}, [2]int{48, 61}, protocol.CodeOverloaded, minute, minute},
		"the last reason":            {"proof", []answerFunc{refused, busy, limited}, [2]int{4, 5}, protocol.CodeRateLimited, minute, minute},
		"frozen for longer":          {"challenge", []answerFunc{frozen}, [2]int{2, 2}, protocol.CodeFrozen, minute, minute},
		"an answer lost":             {"challenge", []answerFunc{failure}, [2]int{1, 1}, protocol.CodeInternal, 0, 0},
		"a push lost":                {"push", []answerFunc{failure}, [2]int{1, 1}, protocol.CodeInternal, 0, 0},
		"a proof lost":               {"proof", []answerFunc{failure, failure, accepted}, [2]int{3, 3}, 0, 300 * time.Millisecond, 600 * time.Millisecond},
		"a proxy without its server": {"proof", []answerFunc{gateway, accepted}, [2]int{2, 2}, 0, 100 * time.Millisecond, 200 * time.Millisecond},
		"the same for a challenge":   {"challenge", []answerFunc{gateway}, [2]int{1, 1}, protocol.CodeInternal, 0, 0},
		"an outcome":                 {"proof", []answerFunc{prover}, [2]int{1, 1}, protocol.CodeProverBadResponse, 0, 0},
		"an earlier copy in work":    {"proof", []answerFunc{conflict, conflict, accepted}, [2]int{3, 3}, 0, time.Second, time.Second},
		"another conflict":           {"challenge", []answerFunc{conflict}, [2]int{1, 1}, protocol.CodeConflict, 0, 0},
		"a conflict that stays":      {"proof", []answerFunc{conflict}, [2]int{21, 21}, protocol.CodeConflict, 10 * time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said := 0
				c, s := play(t, client.Config{Patience: minute, Waiting: func(reason error) {
					if said++; reason == nil {
						t.Error("it waits without a reason")
					}
				}}, tt.answers...)
				begin := time.Now()
				err := calls[tt.call](t.Context(), c)
				if n := len(s.asked); protocol.CodeOf(err) != tt.code || n < tt.tries[0] || n > tt.tries[1] {
					t.Errorf("%d tries, %v", n, err)
				}
				if took := time.Since(begin); took < tt.least || took > tt.most {
					t.Errorf("took %v, want %v to %v", took, tt.least, tt.most)
				}
				if want := min(len(s.asked)-1, 1); said != want {
					t.Errorf("it said %d times that it waits, want %d", said, want)
				}
			})
		})
	}
}

// TestAnew: what must not be sent twice is made anew when its answer was lost, by a patient
// client, and after no other failure.
func TestAnew(t *testing.T) {
	for name, tt := range map[string]struct {
		answers  []answerFunc
		patience time.Duration
		made     int
	}{
		"lost twice":   {[]answerFunc{failure, response(502, "text/html", ""), problem(protocol.CodeExpired, 410, "")}, time.Minute, 3},
		"a busy proxy": {[]answerFunc{response(503, "text/html", "")}, time.Minute, 1},
		"impatient":    {[]answerFunc{failure}, 0, 1},
		"refused":      {[]answerFunc{problem(protocol.CodeUnknownClaim, 404, "")}, time.Minute, 1},
		"never there":  {[]answerFunc{refused}, time.Minute, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := play(t, client.Config{Patience: tt.patience}, tt.answers...)
			made := 0
			err := c.Anew(t.Context(), func() error { made++; return calls["challenge"](t.Context(), c) })
			if err == nil || made != tt.made {
				t.Errorf("%s: made %d times, want %d: %v", name, made, tt.made, err)
			}
		})
	}
}

// TestRetryAfterDate: the header may be a date.
func TestRetryAfterDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(20 * time.Second).UTC().Format(http.TimeFormat)
		c, _ := play(t, client.Config{Patience: time.Minute}, problem(protocol.CodeFrozen, 503, at), accepted)
		begin := time.Now()
		err := calls["proof"](t.Context(), c)
		if took := time.Since(begin); err != nil || took < 20*time.Second || took > 25*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestWaitingIsSaidOnce: many calls that wait for one server say it once.
func TestWaitingIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		said := 0
		c, err := client.New("http://td.example", client.Config{
			Patience: time.Minute, Transport: roundTrip(refused),
			Waiting: func(error) { mu.Lock(); defer mu.Unlock(); said++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				if _, err := c.Status(t.Context()); err == nil {
					t.Error("a server answers that is not there")
				}
			})
		}
		calls.Wait()
		if said != 1 {
			t.Errorf("said %d times", said)
		}
	})
}

type roundTrip answerFunc

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestPatienceEnds: the end of the context ends the wait at once.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := play(t, client.Config{Patience: time.Hour}, problem(protocol.CodeFrozen, 503, "60"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := c.Status(ctx); !errors.Is(err, protocol.CodeFrozen) || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}
