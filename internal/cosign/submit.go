package cosign

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/receipt"
)

const (
	// submitTries bounds the requests to one cosigner. The first one learns the size to
	// start from; another one is lost where a second submitter is faster.
	submitTries   = 3
	submitTimeout = 90 * time.Second // of one request; a cosigner may read the server meanwhile
	maxAnswer     = 32 << 10         // bytes
)

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
	all := make([]Outcome, len(cosigners))
	var wg sync.WaitGroup
	for i, url := range cosigners {
		wg.Go(func() {
			lines, err := submit(ctx, c, url, cp, log)
			all[i] = Outcome{url, lines, err}
		})
	}
	wg.Wait()
	return all
}

// submit asks one cosigner. It starts from the checkpoint itself, which is right for a
// cosigner that has it already; any other one answers with the size that it has.
func submit(ctx context.Context, c *http.Client, url string, cp *receipt.Checkpoint, log receipt.Log) (string, error) {
	r := Request{Old: cp.Size, Note: cp.Note}
	for range submitTries {
		lines, size, err := post(ctx, c, url, &r)
		if err == nil || size == 0 {
			return lines, err
		}
		if size > cp.Size {
			return "", fmt.Errorf("it has cosigned a newer checkpoint, of size %d", size)
		}
		r.Old = size
		if r.Proof, err = consistency(ctx, log, size, cp.Size); err != nil {
			return "", err
		}
	}
	return "", errors.New("its newest checkpoint changes faster than it can be continued")
}

// consistency returns the proof of RFC 6962 section 2.1.2 between two sizes.
func consistency(ctx context.Context, log receipt.Log, from, to uint64) (tlog.TreeProof, error) {
	if from == to {
		return nil, nil
	}
	hashes, err := log.Prefix(ctx, from, to)
	if err != nil {
		return nil, err
	}
	if from&(from-1) == 0 { // the proof leaves the root of the smaller tree out
		hashes = hashes[1:]
	}
	p := make(tlog.TreeProof, len(hashes))
	for i, h := range hashes {
		p[i] = h
	}
	return p, nil
}

// post makes one request. The size is that of a cosigner which wants another proof, and
// else 0.
func post(ctx context.Context, c *http.Client, url string, r *Request) (lines string, size uint64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+addPath, bytes.NewReader(r.Encode()))
	if err != nil {
		return "", 0, err
	}
	request.Header.Set("Content-Type", "text/plain")
	resp, err := c.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", 0, err
	case len(body) > maxAnswer:
		return "", 0, errors.New("its answer is too large")
	case resp.StatusCode == http.StatusOK:
		return string(body), 0, nil
	case resp.StatusCode == http.StatusConflict && resp.Header.Get("Content-Type") == sizeType:
		size, err := strconv.ParseUint(strings.TrimSuffix(string(body), "\n"), 10, 62)
		if err != nil || size == 0 {
			return "", 0, errors.New("it knows no checkpoint to continue")
		}
		return "", size, errors.New("it has another size")
	}
	return "", 0, fmt.Errorf("it refused with status %d", resp.StatusCode)
}
