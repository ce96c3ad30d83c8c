package principal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/terradourada/td/protocol"
)

const (
	keyPrefix  = "tdk_"
	idSize     = 5
	secretSize = 32
	checkSize  = 3

	// KeySize is the length of the text of a key.
	KeySize = len(keyPrefix) + (idSize+secretSize+checkSize)*8/5
)

// KeyID is the public name of a key.
type KeyID [idSize]byte

// String returns the id in hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID parses the text of [KeyID.String].
func ParseKeyID(s string) (id KeyID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != idSize || hex.EncodeToString(b) != s {
		return id, protocol.Failf(protocol.CodeMalformedRequest, "the id of a key is %d hexadecimal digits", 2*idSize)
	}
	return KeyID(b), nil
}

// Key is an API key with its secret. Its only use is to be shown once, to be sent, or to
// be compared.
type Key struct{ raw [idSize + secretSize]byte }

// NewKey returns a new random key.
func NewKey() (k Key) {
	_, _ = rand.Read(k.raw[:]) // never returns an error, see crypto/rand
	return k
}

// errKey repeats no part of the text.
var errKey = errors.New("it is not an API key: tdk_ and 64 of a-z and 2-7, with a checksum")

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ParseKey parses the text of a key and verifies its checksum. Each key has one text.
func ParseKey(text string) (k Key, err error) {
	body, ok := strings.CutPrefix(text, keyPrefix)
	if !ok || len(text) != KeySize || strings.ContainsAny(body, "\r\n") { // which the decoder skips
		return Key{}, errKey
	}
	// The decoder takes the byte 255 for padding, and then returns less.
	b, err := encoding.DecodeString(body)
	if err != nil || encoding.EncodedLen(len(b)) != len(body) {
		return Key{}, errKey
	}
	copy(k.raw[:], b)
	if check := k.check(); string(check[:]) != string(b[len(k.raw):]) {
		return Key{}, errKey
	}
	return k, nil
}

// ParseToken parses the content of a token file: the id of the client, one space, the
// text of its key, and a newline that may be missing.
func ParseToken(b []byte) (client string, k Key, err error) {
	client, text, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), " ")
	if !ok || CheckClientID(client) != nil {
		return "", Key{}, errors.New("it is not a client id, a space and an API key")
	}
	k, err = ParseKey(text)
	return client, k, err
}

// Token returns the content of the token file of a client.
func (k *Key) Token(client string) []byte { return []byte(client + " " + k.Text() + "\n") }

// ID returns the public name of the key.
func (k *Key) ID() KeyID { return KeyID(k.raw[:idSize]) }

// Text returns the secret text of the key.
func (k *Key) Text() string {
	check := k.check()
	return keyPrefix + encoding.EncodeToString(append(k.raw[:len(k.raw):len(k.raw)], check[:]...))
}

// Digest returns what is stored of a key.
func (k *Key) Digest() protocol.Digest { return digest(k.Text()) }

func digest(text string) protocol.Digest { return sha256.Sum256([]byte(text)) }

func (k *Key) check() [checkSize]byte {
	d := protocol.D("TD-V1-api-key-check", k.raw[:idSize], k.raw[idSize:])
	return [checkSize]byte(d[:])
}

// redacted is what a key prints as, in every way.
const redacted = "redacted"

// Format prints "redacted" for every verb and flag.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String returns "redacted".
func (Key) String() string { return redacted }

// LogValue returns "redacted".
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted".
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
