package cosign

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/terradourada/td/internal/addcheckpoint"
	"github.com/terradourada/td/receipt"
)

// submitTimeout bounds one request; a cosigner may read the server meanwhile.
const submitTimeout = 90 * time.Second

// Outcome is the answer of one cosigner.
type Outcome struct {
	Cosigner string // its URL
	Lines    string // signature lines, not verified
	Err      error
}

// Submit asks cosigners for their cosignatures of a checkpoint, all of them at once, and
// returns their answers in order. The log supplies the proofs.
func Submit(ctx context.Context, cosigners []string, cp *receipt.Checkpoint, log receipt.Log) []Outcome {
	c := &http.Client{
		Timeout:       submitTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer c.CloseIdleConnections()
	post := func(ctx context.Context, url string, body []byte) (int, string, []byte, error) {
		return post(ctx, c, url, body)
	}
	all := make([]Outcome, len(cosigners))
	var wg sync.WaitGroup
	for i, url := range cosigners {
		wg.Go(func() {
			lines, err := addcheckpoint.Ask(ctx, post, url, 0, cp, log)
			all[i] = Outcome{url, lines, err}
		})
	}
	wg.Wait()
	return all
}

// post makes one request; see [addcheckpoint.Post].
func post(ctx context.Context, c *http.Client, url string, body []byte) (status int, kind string, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	r.Header.Set("Content-Type", "text/plain")
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, addcheckpoint.MaxAnswer+1))
	return resp.StatusCode, resp.Header.Get("Content-Type"), answer, err
}
