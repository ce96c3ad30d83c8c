package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Challenge asks for a challenge. Check it with [CheckChallenge] before
// proving.
func (c *Client) Challenge(ctx context.Context, req api.ChallengeRequest) (*api.Challenge, error) {
	var ch api.Challenge
	_, err := c.postJSON(ctx, call{path: "/v1/challenges", status: []int{http.StatusCreated}}, &req, &ch)
	if err != nil {
		return nil, err
	}
	return &ch, nil
}

// Accepted is an acceptance; Receipt is nil if it was not there in time.
type Accepted struct {
	RequestID protocol.RequestID
	Index     uint64 // of the leaf in the log
	Receipt   *receipt.Receipt
}

// Send answers a challenge and waits up to wait for the receipt, at most api.MaxWait
// seconds. It is idempotent: the same proof gets the same answer, also while the server
// works on an earlier copy.
func (c *Client) Send(ctx context.Context, id protocol.RequestID, tag protocol.Tag, proof []byte, wait time.Duration) (*Accepted, error) {
	var a api.Accepted
	_, err := c.json(ctx, call{
		method: http.MethodPost, path: "/v1/challenges/" + id.String() + "/proof",
		media: api.MediaOctets, body: proof,
		header: map[string]string{api.TagHeader: tag.String(), "Prefer": prefer(wait)},
		status: []int{http.StatusCreated}, same: true, wait: wait, busy: protocol.CodeConflict,
	}, &a)
	if err != nil {
		return nil, err
	}
	if err := Compare("request id", id.String(), a.RequestID.String()); err != nil {
		return nil, badAnswer("%w", err)
	}
	done := &Accepted{RequestID: id, Index: a.Index}
	done.Receipt, err = optionalReceipt(a.Receipt)
	return done, err
}

func optionalReceipt(raw []byte) (*receipt.Receipt, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		return nil, badAnswer("its receipt is malformed")
	}
	return r, nil
}

// Pushed is the result of a push. The caller must keep the opening: the server does not.
type Pushed struct {
	RequestID protocol.RequestID
	Opening   *receipt.Opening
	Accepted  *Accepted // nil while the event is still being proved
}

// Push sends a prepared event to the operator, who sees and proves it. A ttl of 0 means the
// server's default. It waits up to wait for
// outcome and receipt, at most api.MaxWait seconds. Without a wait it returns when the
// event is queued. [Client.Receipt] gets the receipt later.
func (c *Client) Push(ctx context.Context, e *claim.Prepared, ttl, wait time.Duration) (*Pushed, error) {
	millis, err := ttlMillis(ttl)
	if err != nil {
		return nil, err
	}
	req := api.EventRequest{Claim: e.Params().Claim().String(), Params: e.Params().Bytes(), Event: e.Event(), TTLMillis: millis}
	var a api.EventAccepted
	status, err := c.postJSON(ctx, call{
		path: "/v1/events", header: map[string]string{"Prefer": cmp.Or(prefer(wait), "respond-async")}, wait: wait,
		status: []int{http.StatusCreated, http.StatusAccepted},
	}, &req, &a)
	if err != nil {
		return nil, err
	}
	p := &Pushed{RequestID: a.RequestID}
	p.Opening, err = receipt.ParseOpening(a.Opening)
	if err != nil {
		return nil, badAnswer("its opening is malformed")
	}
	if err := errors.Join(
		Compare("request id in the opening", a.RequestID.String(), p.Opening.RequestID.String()),
		Compare("event in the opening", eventName(req.Event), eventName([]byte(p.Opening.Event))),
	); err != nil {
		return nil, badAnswer("%w", err)
	}
	if status == http.StatusAccepted {
		return p, nil
	}
	p.Accepted = &Accepted{RequestID: a.RequestID, Index: a.Index}
	p.Accepted.Receipt, err = optionalReceipt(a.Receipt)
	return p, err
}

// eventName returns a text that differs for different events and discloses none.
func eventName(event []byte) string {
	return fmt.Sprintf("%d bytes with SHA-256 %x", len(event), sha256.Sum256(event))
}

// askAgain is the pause between two requests for a receipt.
const askAgain = 500 * time.Millisecond

// Receipt fetches a receipt and waits up to wait for it, however long that is.
func (c *Client) Receipt(ctx context.Context, id protocol.RequestID, wait time.Duration) (*receipt.Receipt, error) {
	end := time.Now().Add(wait)
	for {
		left := min(time.Until(end), api.MaxWait*time.Second)
		r, err := c.receipt(ctx, id, left)
		if err == nil || !errors.Is(err, protocol.CodeNotFound) || time.Until(end) < askAgain {
			return r, err
		}
		if sleep(ctx, askAgain) != nil {
			return nil, err
		}
	}
}

func (c *Client) receipt(ctx context.Context, id protocol.RequestID, wait time.Duration) (*receipt.Receipt, error) {
	r, err := c.do(ctx, call{
		method: http.MethodGet, path: "/v1/receipts/" + id.String(),
		header: map[string]string{"Prefer": prefer(wait)},
		status: []int{http.StatusOK}, answer: []string{api.MediaReceipt}, limit: receipt.MaxSize, same: true, wait: wait,
	})
	if err != nil {
		return nil, err
	}
	return optionalReceipt(r.body)
}

// Verify asks the server to verify a receipt. Its report is worth as much as the server
// is trusted. receipt.Verify needs no server.
func (c *Client) Verify(ctx context.Context, r *receipt.Receipt, allowSelfAsserted bool) (*receipt.Report, error) {
	body, err := r.Encode()
	if err != nil {
		return nil, err
	}
	var report receipt.Report
	_, err = c.json(ctx, call{
		method: http.MethodPost, path: "/v1/verify", query: "allow_self_asserted=" + strconv.FormatBool(allowSelfAsserted),
		media: api.MediaReceipt, body: body, status: []int{http.StatusOK}, same: true,
	}, &report)
	if err != nil {
		return nil, err
	}
	return &report, nil
}

// Claims lists the verifying keys in the log.
func (c *Client) Claims(ctx context.Context) ([]api.Claim, error) {
	var v api.Claims
	err := c.getJSON(ctx, "/v1/claims", &v)
	return v.Claims, err
}

// Epochs lists the newest epochs, newest first.
func (c *Client) Epochs(ctx context.Context) ([]api.Epoch, error) {
	var v api.Epochs
	err := c.getJSON(ctx, "/v1/epochs", &v)
	return v.Epochs, err
}

// Epoch fetches one epoch with its public key.
func (c *Client) Epoch(ctx context.Context, number uint64) (*api.Epoch, error) {
	var v api.Epoch
	if err := c.getJSON(ctx, "/v1/epochs/"+strconv.FormatUint(number, 10), &v); err != nil {
		return nil, err
	}
	return &v, nil
}

// Attestation fetches the evidence of the hardware about an epoch, unverified. The error
// is protocol.CodeNotFound if there is none.
func (c *Client) Attestation(ctx context.Context, number uint64) ([]byte, error) {
	return c.getBytes(ctx, "/v1/epochs/"+strconv.FormatUint(number, 10)+"/attestation", api.MaxEvidence, api.MediaOctets)
}

// Status fetches the state of the service.
func (c *Client) Status(ctx context.Context) (*api.Status, error) {
	var v api.Status
	if err := c.getJSON(ctx, "/v1/status", &v); err != nil {
		return nil, err
	}
	return &v, nil
}

// Checkpoint fetches the newest checkpoint, a signed note, unverified. A mirror of the
// files may send it as application/octet-stream.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.getBytes(ctx, "/"+tiles.Checkpoint, receipt.MaxLogSize, "text/plain", api.MediaOctets)
}

// Tile fetches a tile or entry bundle by its C2SP path below "tile/", such as
// "0/000" or "entries/000.p/7", unverified.
func (c *Client) Tile(ctx context.Context, path string) ([]byte, error) {
	return c.getBytes(ctx, "/tile/"+path, tiles.MaxBundle, api.MediaOctets)
}
