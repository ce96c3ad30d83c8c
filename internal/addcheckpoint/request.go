package addcheckpoint

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/receipt"
)

const (
	// Path is the path of the one operation, below the URL of a cosigner.
	Path = "/add-checkpoint"
	// SizeType is the media type of an answer that names the size to start from.
	SizeType = "text/x.tlog.size"

	// MaxRequest bounds the body of a request, in bytes.
	MaxRequest = receipt.MaxLogSize + 64*(maxProof+2)
	// MaxAnswer bounds the body of an answer, in bytes.
	MaxAnswer = 32 << 10

	maxProof = 63 // lines
)

// ErrMalformed: the request is not one of the protocol.
var ErrMalformed = errors.New("malformed request")

// Request asks for the cosignature of a checkpoint.
type Request struct {
	Old   uint64         // size of the tree from which the proof leads
	Proof tlog.TreeProof // RFC 6962 section 2.1.2, empty if Old is the size of the checkpoint
	Note  string         // the signed checkpoint
}

// ParseRequest reads the body of a request.
func ParseRequest(body []byte) (r Request, err error) {
	head, checkpoint, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	old, isOld := strings.CutPrefix(lines[0], "old ")
	n, err := strconv.ParseInt(old, 10, 64)
	if !ok || !isOld || err != nil || n < 0 || strconv.FormatInt(n, 10) != old {
		return r, fmt.Errorf("%w: it does not begin with the old size", ErrMalformed)
	}
	if len(lines)-1 > maxProof {
		return r, fmt.Errorf("%w: the proof has more than %d hashes", ErrMalformed, maxProof)
	}
	r = Request{Old: uint64(n), Note: checkpoint}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize || strings.Contains(line, "\r") {
			return r, fmt.Errorf("%w: a line of the proof is no hash", ErrMalformed)
		}
		r.Proof = append(r.Proof, tlog.Hash(h))
	}
	return r, nil
}

// Encode returns the body of the request.
func (r *Request) Encode() []byte {
	b := fmt.Appendf(nil, "old %d\n", r.Old)
	for _, h := range r.Proof {
		b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	return append(append(b, '\n'), r.Note...)
}
