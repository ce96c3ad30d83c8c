package remote

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/terradourada/td/protocol"
)

// Field is one field of a decoded entry.
type Field struct {
	Name  string
	Value any
}

// Fields are the fields of an entry, in order.
type Fields []Field

// MarshalJSON returns one object with the fields in order.
func (f Fields) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i := range f {
		if i > 0 {
			b = append(b, ',')
		}
		value, err := json.Marshal(f[i].Value)
		if err != nil {
			return nil, err
		}
		b = append(append(strconv.AppendQuote(b, f[i].Name), ':'), value...)
	}
	return append(b, '}'), nil
}

// Table prints one field a line.
func (f Fields) Table(w io.Writer) error {
	for i := range f {
		if _, err := fmt.Fprintf(w, "%-16s  %v\n", f[i].Name, f[i].Value); err != nil {
			return err
		}
	}
	return nil
}

// Decode returns the fields of a leaf under the names of section 12.
func Decode(raw []byte) (Fields, error) {
	leaf, err := protocol.ParseLeaf(raw)
	if err != nil {
		return nil, err
	}
	fields := Fields{
		{"index", leaf.Seq},
		{"type", leaf.Body.LeafType().String()},
		{"time", time.UnixMilli(int64(leaf.Time)).UTC().Format("2006-01-02T15:04:05.000Z")},
		{"withdrawals", leaf.Withdrawals},
	}
	body, err := bodyFields(leaf.Body)
	return append(fields, body...), err
}

func bodyFields(body protocol.LeafBody) (Fields, error) {
	switch b := body.(type) {
	case *protocol.Accepted:
		return acceptedFields(b)
	case *protocol.EpochOpen:
		return Fields{
			{"number", b.Number},
			{"epoch", b.ID},
			{"instance", b.Instance},
			{"public_key", protocol.EncodeBase64(b.PublicKey[:])},
			{"build", b.Build},
			{"signer_grade", b.SignerGrade},
			{"tagger_grade", b.TaggerGrade},
			{"posture", b.Posture},
			{"checkpoint_key", protocol.Digest(b.CheckpointKey)},
			{"previous", b.Previous},
			{"previous_index", b.PreviousIndex},
			{"handover_size", b.Handover.Size},
			{"handover_root", b.Handover.Root},
			{"handover", protocol.EncodeBase64(b.Handover.Signature[:])},
		}, nil
	case *protocol.EpochClose:
		return Fields{
			{"number", b.Number},
			{"epoch", b.ID},
			{"reason", b.Reason.String()},
			{"accepted", b.Accepted},
			{"rejected", b.Rejected},
			{"expired", b.Expired},
			{"invalidated", b.Invalidated},
			{"issued_size", b.Issued.Size},
			{"issued_root", b.Issued.Root},
			{"issued_signature", protocol.EncodeBase64(b.Issued.Signature[:])},
		}, nil
	case *protocol.ClaimLeaf:
		return Fields{
			{"claim", b.ClaimID},
			{"list", b.List},
			{"srs", b.SRS},
			{"fingerprint", protocol.VKFingerprint(b.ClaimID, b.List, b.SRS, b.VK)},
			{"verifying_key", protocol.EncodeBase64(b.VK)},
		}, nil
	case *protocol.Control:
		return Fields{
			{"action", b.Action.String()},
			{"target", b.Target},
			{"reason_code", b.Reason},
			{"previous", b.Previous},
			{"actor", b.Actor},
			{"reason", b.Text},
		}, nil
	case *protocol.Incident:
		return Fields{{"kind", b.Kind}, {"digest", b.Digest}}, nil
	}
	return nil, nil
}

func acceptedFields(b *protocol.Accepted) (Fields, error) {
	p, err := protocol.ParsePayload(b.Payload[:])
	if err != nil {
		return nil, err
	}
	return Fields{
		{"request", p.RequestID},
		{"mode", p.Mode.String()},
		{"epoch", p.EpochID},
		{"epoch_number", p.EpochNumber},
		{"seq", p.Seq},
		{"issued_at", time.UnixMilli(int64(p.IssuedAt)).UTC().Format("2006-01-02T15:04:05.000Z")},
		{"ttl_ms", p.TTL},
		{"policy", p.Policy},
		{"nonce", p.Nonce},
		{"commitment", p.Commitment},
		{"client", p.Client},
		{"fingerprint", p.VK},
		{"statement", p.Statement},
		{"instance", p.Instance},
		{"anchor", b.Anchor},
		{"t", b.TagHash},
		{"issued_position", b.Issued.Position},
		{"issued_size", b.Issued.Size},
		{"issued_root", b.Issued.Root},
		{"issued_signature", protocol.EncodeBase64(b.Issued.Signature[:])},
		{"issued_path", b.Issued.Path},
		{"params", rawJSON(b.Params)},
		{"proof", protocol.EncodeBase64(b.Proof)},
	}, nil
}

// rawJSON is text of a leaf that should be JSON.
type rawJSON []byte

// String returns the text with what a terminal would act on replaced.
func (r rawJSON) String() string { return protocol.Printable(string(r)) }

// MarshalJSON returns the text itself, or a string if it is not JSON.
func (r rawJSON) MarshalJSON() ([]byte, error) {
	if json.Valid(r) {
		return r, nil
	}
	return json.Marshal(string(r))
}
