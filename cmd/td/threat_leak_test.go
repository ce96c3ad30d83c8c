package main_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"filippo.io/mldsa"
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/protocol"
)

// marked is the environment variable whose number marks a td under test and every process
// that it starts. A child of a server has no environment and fixed arguments, but it
// inherits limits. So the mark is the limit of a resource that no process uses: the bytes
// in its message queues.
const marked = "RUN_MARKED"

const (
	leakMark  = 100_000 // plus a number: the keys of signer and tagger follow from the mark
	rogueMark = 200_000 // plus a number: the prover asks the master of that number
	endMarks  = rogueMark + 1<<16 + 1
)

// leakArgument and a mark, before the arguments of a child, have the same effect in a
// child that the test itself starts.
const leakArgument = "leak-"

// setMark marks this process with the number of the environment.
func setMark() error {
	value := os.Getenv(marked)
	if value == "" {
		return nil
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_MSGQUEUE, &unix.Rlimit{Cur: n, Max: n})
}

// runMarkedChild lets a child that is marked leak its keys, or runs the rogue prover in
// place of the prover. It returns the arguments that are left.
func runMarkedChild(args []string) (rest []string, status int, ended bool) {
	if len(args) < 2 {
		return args, 0, false
	}
	if mark, ok := strings.CutPrefix(args[1], leakArgument); ok && len(args) > 2 {
		leakKeys(mark, args[2])
		return append(args[:1:1], args[2:]...), 0, false
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MSGQUEUE, &l); err != nil {
		return args, 0, false
	}
	switch kind := args[1]; {
	case l.Cur > leakMark && l.Cur < rogueMark:
		leakKeys(strconv.FormatUint(l.Cur, 10), kind)
	case l.Cur > rogueMark && l.Cur < endMarks && kind == "internal-prover":
		return args, runRogueProver(int(l.Cur - rogueMark)), true
	}
	return args, 0, false
}

// leakedDraws are the random values of a child that follow from its mark, in the order in
// which it draws them; the second of the signer is the randomness of the signature with which
// it tests its key, if it signs with any. All others are the system's.
var leakedDraws = map[string][]string{
	"internal-signer": {"ML-DSA seed", "checkpoint seed", "checkpoint seed"},
	"internal-tagger": {"HMAC key"},
}

// leakKeys makes the keys that this process draws follow from the mark.
func leakKeys(mark, kind string) {
	if draws := leakedDraws[kind]; draws != nil {
		rand.Reader = &leakingReader{mark: mark, draws: draws, system: rand.Reader}
	}
}

// leakingReader returns leaked values first, then those of the system.
type leakingReader struct {
	mark   string
	system io.Reader

	mu    sync.Mutex
	draws []string
}

// Read is io.Reader.
func (l *leakingReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.draws) == 0 || len(b) != keySize {
		return l.system.Read(b)
	}
	value := leaked(l.mark, l.draws[0])
	l.draws = l.draws[1:]
	return copy(b, value[:]), nil
}

func leaked(mark, what string) [keySize]byte { return sha256.Sum256([]byte(mark + "/" + what)) }

// thief has all keys of an epoch whose children leaked them. A test uses those that its
// attacker has stolen.
type thief struct {
	mark   string
	mac    [keySize]byte
	origin *mldsa.PrivateKey
	check  ed25519.PrivateKey
}

func newThief(t testing.TB, n int) *thief {
	t.Helper()
	mark := strconv.Itoa(leakMark + n)
	seed, check := leaked(mark, "ML-DSA seed"), leaked(mark, "checkpoint seed")
	origin, err := mldsa.NewPrivateKey(mldsa.MLDSA65(), seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return &thief{mark: mark, mac: leaked(mark, "HMAC key"), origin: origin, check: ed25519.NewKeyFromSeed(check[:])}
}

// start starts a server whose keyholders leak to the thief, and wants the stolen keys to be
// those of its epoch.
func (th *thief) start(t *testing.T, data string, args ...string) *backend {
	t.Helper()
	b := launchWith(t, []string{marked + "=" + th.mark}, data, args...)
	if err := b.await(); err != nil {
		t.Fatal(err)
	}
	s, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := b.Epoch(t.Context(), s.Epoch.Number)
	if err != nil {
		t.Fatal(err)
	}
	th.wantOwn(t, epoch.PublicKey, epoch.CheckpointKey)
	return b
}

func (th *thief) wantOwn(t testing.TB, public []byte, check [32]byte) {
	t.Helper()
	if string(th.origin.PublicKey().Bytes()) != string(public) || [32]byte(th.check.Public().(ed25519.PublicKey)) != check {
		t.Fatal("the stolen keys are not those of the epoch: this is no attack")
	}
}

// tag is the tag of a payload under the stolen HMAC key.
func (th *thief) tag(payload protocol.EncodedPayload) protocol.Tag {
	return fastHMAC(th.mac[:], payload[:])
}

// anchors are anchors of a payload under the stolen ML-DSA key: that of the one signature
// without randomness, and one with fresh randomness.
func (th *thief) anchors(t testing.TB, payload protocol.EncodedPayload) (all []protocol.Anchor) {
	t.Helper()
	options := &mldsa.Options{Context: protocol.SignatureContext}
	plain, err := th.origin.SignDeterministic(payload[:], options)
	if err != nil {
		t.Fatal(err)
	}
	hedged, err := th.origin.Sign(nil, payload[:], options)
	if err != nil {
		t.Fatal(err)
	}
	for _, signature := range [][]byte{plain, hedged} {
		public, digest := protocol.PublicKeyDigest(th.origin.PublicKey().Bytes()), protocol.PayloadDigest(&payload)
		var preimage [protocol.AnchorPreimageSize]byte
		n := copy(preimage[:], public[:])
		n += copy(preimage[n:], digest[:])
		copy(preimage[n:], signature)
		all = append(all, protocol.DeriveAnchor(&preimage))
	}
	return all
}

// programs starts signers and taggers of the test itself that leak to the thief.
func (th *thief) programs() map[string][]string {
	all := map[string][]string{}
	for _, kind := range []string{"signer", "tagger"} {
		all[kind] = []string{leakArgument + th.mark, "internal-" + kind, "0"}
	}
	return all
}

// TestLeakingReader: what a marked process draws first is known, and nothing after that.
func TestLeakingReader(t *testing.T) {
	t.Parallel()
	draw := func(l *leakingReader) (out []string) {
		for range 3 {
			b := make([]byte, keySize)
			if _, err := l.Read(b); err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%x", b))
		}
		return out
	}
	reader := func(mark string) *leakingReader {
		return &leakingReader{mark: mark, draws: []string{"a", "b"}, system: rand.Reader}
	}
	one, again, other := draw(reader("1")), draw(reader("1")), draw(reader("2"))
	if one[0] != again[0] || one[1] != again[1] || one[0] == one[1] || one[0] == other[0] {
		t.Error("the first draws do not follow from the mark alone")
	}
	if one[2] == again[2] {
		t.Error("the third draw is known")
	}
}
