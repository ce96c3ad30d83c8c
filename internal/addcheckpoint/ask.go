package addcheckpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/receipt"
)

// Post posts a body of type text/plain to a URL and returns the status, the media type
// and the body of the answer. It follows no redirect, ends in bounded time, and reads at
// most one byte more than [MaxAnswer].
type Post func(ctx context.Context, url string, body []byte) (status int, kind string, answer []byte, err error)

// maxTries bounds the requests to one cosigner. The first one may learn the size to start
// from; another one is lost where a second submitter is faster.
const maxTries = 3

// Ask asks the cosigner at a URL for its cosignature of a checkpoint, and returns the
// signature lines that it sent. They are not verified. The proof starts from a size that
// the cosigner is thought to have, 0 if none is known, and then from the size that it
// names. The log supplies the proofs.
func Ask(ctx context.Context, post Post, url string, from uint64, cp *receipt.Checkpoint, log receipt.Log) (lines string, err error) {
	if from == 0 || from > cp.Size {
		from = cp.Size // right for a cosigner that has it already, and any other one names its size
	}
	for range maxTries {
		proof, err := consistency(ctx, log, from, cp.Size)
		if err != nil {
			return "", err
		}
		r := Request{Old: from, Proof: proof, Note: cp.Note}
		status, kind, body, err := post(ctx, strings.TrimSuffix(url, "/")+Path, r.Encode())
		switch {
		case err != nil:
			return "", err
		case len(body) > MaxAnswer:
			return "", errors.New("its answer is too large")
		case status == http.StatusOK:
			return string(body), nil
		case status != http.StatusConflict || kind != SizeType:
			return "", fmt.Errorf("it refused with status %d%s", status, meanings[status])
		}
		from, err = strconv.ParseUint(strings.TrimSuffix(string(body), "\n"), 10, 62)
		if err != nil || from == 0 {
			return "", errors.New("it knows no checkpoint to continue")
		}
		if from > cp.Size {
			return "", fmt.Errorf("it has cosigned a newer checkpoint, of size %d", from)
		}
	}
	return "", errors.New("its newest checkpoint changes faster than it can be continued")
}

// meanings are what a status means in C2SP tlog-witness; that of 503 is what the cosigner of
// this project means by it.
var meanings = map[int]string{
	http.StatusForbidden:           ": it does not accept the key that signed the checkpoint",
	http.StatusNotFound:            ": it does not know the log",
	http.StatusConflict:            ": it has another tree of that size",
	http.StatusUnprocessableEntity: ": the proof is false",
	http.StatusServiceUnavailable:  ": it is busy, or cannot read the server",
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
