package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// secretSize is the size of the secret of a webhook, in bytes.
const secretSize = 32

// secretText returns a secret as Standard Webhooks writes it.
func secretText(secret []byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(secret) }

// signature returns the value of the header webhook-signature, as Standard Webhooks 1.0.0
// defines it: HMAC-SHA256 of "id.timestamp.body".
func signature(secret []byte, id string, at time.Time, body []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	h.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}
