package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxAnswer bounds what is returned of a cosigner's answer, in bytes.
const maxAnswer = 32 << 10

// forward is the body of the operation forward: a request of the core to a cosigner.
type forward struct {
	URL  string `json:"url"`
	Body []byte `json:"body"`
}

// reply is what the cosigner answered. The notifier does not interpret it.
type reply struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Body   []byte `json:"body"`
}

// forward makes one request. Whatever its status is, the answer is returned.
func (d *deliverer) forward(ctx context.Context, f *forward) (*reply, error) {
	if _, err := d.allowed.CheckURL(f.URL); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL, bytes.NewReader(f.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "text/plain")
	resp, err := d.send(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("the answer did not arrive: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	return &reply{resp.StatusCode, resp.Header.Get("Content-Type"), body}, nil
}

// send makes a request. Its errors do not contain the URL.
func (d *deliverer) send(r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", "terradourada")
	resp, err := d.http.Do(r) //nolint:gosec // the URL is one that the allow-list admits, and so is each address that is dialed
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return resp, err
}
