package cosign

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"filippo.io/torchwood"
	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/receipt"
)

// keyHeader is the first line of a key file. Three lines follow, in the form of C2SP
// signed-note: the private keys of Ed25519 and ML-DSA-44, each a seed, and the public key
// of ML-DSA-44.
const keyHeader = "terradourada-cosigner/1"

// maxName bounds the name of a cosigner, in bytes.
const maxName = 128

// Key holds the private keys of a cosigner. It does not print; [Key.Encode] writes it.
type Key struct {
	name string
	seed []byte // of Ed25519
	pq   string // ML-DSA-44, as the library writes it
	pub  string // the public key of pq

	ed25519 *torchwood.CosignatureSigner
	mldsa   formats.SubtreeSigner
}

// NewKey makes the keys of a cosigner. The name is part of every signature line; it
// should be a name that the cosigner's operator controls, such as a host name.
func NewKey(name string) (*Key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // which does not fail
	pq, pub, err := formats.GenerateMLDSAKey(name)
	if err != nil {
		return nil, err
	}
	return openKey(name, seed, pq, pub)
}

func checkName(name string) error {
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || c == '+' {
			return errors.New("the name of a cosigner is printable ASCII without blanks and +")
		}
	}
	if name == "" || len(name) > maxName {
		return fmt.Errorf("the name of a cosigner has 1 to %d bytes", maxName)
	}
	return nil
}

func openKey(name string, seed []byte, pq, pub string) (*Key, error) {
	k := &Key{name: name, seed: seed, pq: pq, pub: pub}
	var err error
	if k.ed25519, err = torchwood.NewCosignatureSigner(name, ed25519.NewKeyFromSeed(seed)); err != nil {
		return nil, err
	}
	if k.mldsa, err = formats.NewMLDSASigner(pq); err != nil {
		return nil, err
	}
	v, err := formats.NewMLDSAVerifier(pub)
	if err == nil && (v.Name() != k.mldsa.Name() || v.KeyHash() != k.mldsa.KeyHash()) {
		err = errors.New("the public key belongs to another private key")
	}
	return k, err
}

const privatePrefix = "PRIVATE+KEY+"

// ParseKey reads a key file.
func ParseKey(text []byte) (*Key, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 5 || lines[0] != keyHeader || lines[4] != "" {
		return nil, errors.New("it is not the key file of a cosigner")
	}
	malformed := errors.New("a key in it is malformed")
	rest, ok := strings.CutPrefix(lines[1], privatePrefix)
	parts := strings.SplitN(rest, "+", 3)
	if !ok || len(parts) != 3 || checkName(parts[0]) != nil || !strings.HasPrefix(lines[2], privatePrefix+parts[0]+"+") {
		return nil, malformed
	}
	seed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(seed) != 1+ed25519.SeedSize || seed[0] != algEd25519 {
		return nil, malformed
	}
	k, err := openKey(parts[0], seed[1:], lines[2], lines[3])
	if err != nil || string(k.Encode()) != string(text) {
		return nil, malformed
	}
	return k, nil
}

// algEd25519 is the algorithm of C2SP tlog-cosignature for Ed25519.
const algEd25519 = 4

// Encode returns the content of the key file.
func (k *Key) Encode() []byte {
	seed := base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, k.seed...))
	return fmt.Appendf(nil, "%s\n%s%s+%08x+%s\n%s\n%s\n", keyHeader, privatePrefix, k.name, k.ed25519.KeyHash(), seed, k.pq, k.pub)
}

// Name returns the name of the cosigner.
func (k *Key) Name() string { return k.name }

// Verifiers returns the public keys, as lines "witness" of a policy file name them: first
// Ed25519, then ML-DSA-44.
func (k *Key) Verifiers() [2]string { return [2]string{k.ed25519.Verifier().String(), k.pub} }

// Sign returns two signature lines over a checkpoint, with the time of the clock.
func (k *Key) Sign(c *receipt.Checkpoint) (lines string, err error) {
	text := c.Note[:strings.LastIndex(c.Note, "\n\n")+1]
	signed, err := note.Sign(&note.Note{Text: text}, k.ed25519, k.mldsa)
	return strings.TrimPrefix(string(signed), text+"\n"), err
}

const redacted = "redacted"

// Format writes "redacted" for every verb.
func (*Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "redacted".
func (*Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted".
func (*Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
