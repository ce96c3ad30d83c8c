//go:build memscan && linux

package keyholder_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"filippo.io/edwards25519"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// patterns are what a scan looks for: pieces of secrets, by class.
type patterns struct {
	class   []string
	bytes   [][]byte
	byStart map[uint64][]int
	filter  [1 << 18]bool // of hashes of the first 8 bytes
}

func newPatterns() *patterns { return &patterns{byStart: map[uint64][]int{}} }

// add enters a secret in pieces of so many bytes, 8 at least.
func (p *patterns) add(class string, secret []byte, size int) {
	for b := range slices.Chunk(bytes.Clone(secret), size) {
		if len(b) < size {
			return
		}
		start := binary.LittleEndian.Uint64(b)
		p.byStart[start] = append(p.byStart[start], len(p.bytes))
		p.class, p.bytes = append(p.class, class), append(p.bytes, b)
		p.filter[fold(start)] = true
	}
}

func fold(v uint64) uint64 { return v * 0x9e3779b97f4a7c15 >> 46 }

// find counts the patterns in b, by class, and returns the places of the first.
func (p *patterns) find(b []byte, hits map[string]int) (places []int) {
	for i := 0; i+8 <= len(b); i++ {
		start := binary.LittleEndian.Uint64(b[i:])
		if !p.filter[fold(start)] {
			// Most of a memory is zero: nothing begins within 16 zero bytes.
			for start == 0 && i+16 <= len(b) && binary.LittleEndian.Uint64(b[i+8:]) == 0 {
				i += 8
			}
			continue
		}
		for _, n := range p.byStart[start] {
			if bytes.HasPrefix(b[i:], p.bytes[n]) {
				hits[p.class[n]]++
				if len(places) < 4 {
					places = append(places, i)
				}
			}
		}
	}
	return places
}

var encodedRun = regexp.MustCompile(`[A-Za-z0-9+/_-]{22,}`)

// findText counts the patterns in b as it is and in everything in it that reads
// as hexadecimal or base64, wherever that may begin.
func (p *patterns) findText(b []byte) map[string]int {
	hits := map[string]int{}
	p.find(b, hits)
	for _, text := range encodedRun.FindAll(b, -1) {
		for skip := range 4 {
			raw, _ := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(string(text[skip:])))
			p.find(raw, hits) // as far as it goes
			raw, _ = hex.DecodeString(string(text[skip%2:]))
			p.find(raw, hits)
		}
	}
	return hits
}

func (p *patterns) classes() []string {
	return slices.Compact(slices.Sorted(slices.Values(p.class)))
}

// keyPatterns are those of the keys of a seed.
func keyPatterns(seed string) *patterns {
	p := newPatterns()
	origin, check, tag := derived(seed, "origin"), derived(seed, "checkpoint"), derived(seed, "tag")
	p.add("ML-DSA seed", origin[:], 16)
	_, private := mldsa65.NewKeyFromSeed(&origin)
	packed := private.Bytes()
	p.add("K", packed[32:64], 16)
	p.add("packed key", packed[128:], 32) // behind rho, K and tr
	for _, f := range []string{"s1", "s2", "t0", "s1h", "s2h", "t0h"} {
		p.add(f, fieldBytes(private, f), 64) // 16 coefficients
	}
	p.add("HMAC key", tag[:], 16)
	for name, x := range map[string]byte{"ipad": 0x36, "opad": 0x5c} {
		block := bytes.Repeat([]byte{x}, 64)
		for i := range tag {
			block[i] ^= tag[i]
		}
		p.add(name, block[:32], 16)
		state := midstate(block)
		p.add("midstate", state, 16)
		for i := 0; i < len(state); i += 4 { // as words in memory
			slices.Reverse(state[i : i+4])
		}
		p.add("midstate", state, 16)
	}
	p.add("checkpoint seed", check[:], 16)
	h := sha512.Sum512(check[:])
	p.add("checkpoint scalar", h[1:31], 15) // apart from the bits that are clamped
	p.add("checkpoint scalar", scalarBytes(h[:32]), 16)
	p.add("checkpoint prefix", h[32:], 16)
	for i := range keyholder.Hedges {
		random := derived(seed, fmt.Sprintf("hedge %d", i))
		p.add(randomness, random[:], 16)
	}
	p.sign(seed, private, []byte(controlMessage), sigEntropy)
	return p
}

// The classes of what hedged signatures are made with, and of what their masks
// are expanded from.
const (
	randomness = "randomness"
	maskSeeds  = "mask seed"
)

// maskSeed is what the masks of the signature of a message are expanded from:
// rho' of FIPS 204 algorithm 7, of K, the randomness and the message's digest.
func maskSeed(seed string, private *mldsa65.PrivateKey, message []byte) (out [64]byte) {
	packed, random := private.Bytes(), derived(seed, keyholder.Hedge(message))
	context := protocol.SignatureContext
	digest := sha3.SumSHAKE256(slices.Concat(packed[64:128], []byte{0, byte(len(context))}, []byte(context), message), 64)
	copy(out[:], sha3.SumSHAKE256(slices.Concat(packed[32:64], random[:], digest), 64))
	return out
}

// signature is that of a child of the seed.
func signature(seed string, private *mldsa65.PrivateKey, message []byte) []byte {
	sig := make([]byte, mldsa65.SignatureSize)
	if err := keyholder.HedgingOf(seed, message, func() error {
		return mldsa65.SignTo(private, message, []byte(protocol.SignatureContext), true, sig)
	}); err != nil {
		panic(err)
	}
	return sig
}

// scalarBytes are a clamped scalar as the curve library keeps it in memory: in
// Montgomery form.
func scalarBytes(b []byte) []byte {
	s, err := edwards25519.NewScalar().SetBytesWithClamping(b)
	if err != nil {
		panic(err)
	}
	words := reflect.ValueOf(s).Elem().Field(0)
	var out []byte
	for i := range words.Len() {
		out = binary.LittleEndian.AppendUint64(out, words.Index(i).Uint())
	}
	return out
}

// challenge is the class of the first bytes of a signature. They stay on the heap
// of a signer for a while, in what circl hashes with, and say nothing of the key
// without the rest.
const (
	challenge     = "challenge"
	challengeSize = 48
)

// sigEntropy is the part of a signature before its hint, most of which is zero.
const sigEntropy = 48 + 5*640

// sign enters the first n bytes of the signature of a message, and what its
// masks were expanded from.
func (p *patterns) sign(seed string, private *mldsa65.PrivateKey, message []byte, n int) {
	sig := signature(seed, private, message)
	p.add(challenge, sig[:challengeSize], 16)
	p.add("signature", sig[challengeSize:n], 16)
	mask := maskSeed(seed, private, message)
	p.add(maskSeeds, mask[:], 16)
}

// signatures are the first n bytes of those of payloads by the key of a seed.
func signatures(seed string, payloads [][]byte, n int) *patterns {
	p := newPatterns()
	origin := derived(seed, "origin")
	_, private := mldsa65.NewKeyFromSeed(&origin)
	for _, payload := range payloads {
		p.sign(seed, private, payload, n)
	}
	return p
}

// fieldBytes reads a field of circl's private key, which exports none.
func fieldBytes(private *mldsa65.PrivateKey, name string) []byte {
	f, ok := reflect.TypeFor[mldsa65.PrivateKey]().FieldByName(name)
	if !ok {
		panic("circl's key has no field " + name)
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(private), f.Offset)), f.Type.Size())
}

// midstate is the SHA-256 state after one block.
func midstate(block []byte) []byte {
	h := sha256.New()
	h.Write(block)
	b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b[4:36]
}

// finding is what a scan of one process found.
type finding struct {
	hits    map[string]int // outside of the region, by class
	region  map[string]int // inside
	masks   int            // polynomials in the range of a mask, outside
	refused int            // bytes of the region that could not be read
	bytes   int            // read
	where   []string       // hits outside, the first few, with what is around them
}

func (f finding) total() (n int) {
	for _, c := range f.hits {
		n += c
	}
	return n
}

// scan reads every readable page of a process.
func scan(t testing.TB, pid int, p *patterns) finding {
	t.Helper()
	f := finding{hits: map[string]int{}, region: map[string]int{}}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	can(t, err)
	defer mem.Close()
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	can(t, err)
	defer pagemap.Close()
	var buffer []byte
	for _, m := range mappings(t, pid) {
		if m.name == "[vsyscall]" || strings.HasPrefix(m.name, "[vvar") || !m.readable {
			continue
		}
		into := f.hits
		if m.region {
			into = f.region
		}
		for _, run := range present(t, pagemap, m) {
			size := int(run.to - run.from)
			buffer = slices.Grow(buffer[:0], size)
			b := buffer[:size]
			n, err := mem.ReadAt(b, int64(run.from))
			if err != nil && m.region && errors.Is(err, unix.EIO) {
				f.refused += len(b) - n
			} else if err != nil {
				t.Logf("%d of %d bytes of %s: %v", n, len(b), m.name, err)
			}
			f.bytes += n
			for _, at := range p.find(b[:n], into) {
				if !m.region {
					f.where = append(f.where, fmt.Sprintf("%x in %x-%x %s, % x", run.from+uint64(at), m.from, m.to, m.name, b[max(0, at-32):min(n, at+48)]))
				}
			}
			if m.writable && !m.region {
				f.masks += masks(b[:n])
			}
		}
	}
	return f
}

// mapping is one of a process; the region is the one that is wiped on fork or
// that is secretmem, of which Go itself has none.
type mapping struct {
	from, to                   uint64
	name                       string
	readable, writable, region bool
}

func mappings(t testing.TB, pid int) (all []mapping) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	can(t, err)
	for line := range strings.Lines(string(b)) {
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok {
			last := &all[len(all)-1]
			last.region = last.readable && (slices.Contains(strings.Fields(flags), "wf") || strings.HasPrefix(last.name, "/secretmem"))
			continue
		}
		fields := strings.Fields(line)
		m := mapping{}
		if n, _ := fmt.Sscanf(line, "%x-%x ", &m.from, &m.to); n == 2 && len(fields) >= 5 {
			m.readable, m.writable = fields[1][0] == 'r', fields[1][1] == 'w'
			m.name = strings.Join(fields[5:], " ")
			all = append(all, m)
		}
	}
	return all
}

type run struct{ from, to uint64 }

// present are the parts of a mapping that are in memory or in swap.
func present(t testing.TB, pagemap *os.File, m mapping) (runs []run) {
	t.Helper()
	page := uint64(os.Getpagesize())
	entries := make([]byte, (m.to-m.from)/page*8)
	if _, err := pagemap.ReadAt(entries, int64(m.from/page*8)); err != nil {
		t.Fatal(err)
	}
	for i := uint64(0); i < uint64(len(entries)/8); i++ {
		if binary.LittleEndian.Uint64(entries[8*i:])>>62 == 0 && !m.region {
			continue
		}
		at := m.from + i*page
		if n := len(runs); n > 0 && runs[n-1].to == at {
			runs[n-1].to += page
		} else {
			runs = append(runs, run{at, at + page})
		}
	}
	return runs
}

// masks counts runs of 256 words or more that are the coefficients of a mask y
// or of y + c*s1, modulo q: between -2^19 and 2^19, on both sides of zero, and
// not all as small as what else a signature computes with.
func masks(b []byte) (n int) {
	const q, gamma1 = 8380417, 1 << 19
	length, positive, negative := 0, 0, 0
	for i := 0; i+4 <= len(b); i += 4 {
		switch v := binary.LittleEndian.Uint32(b[i:]); {
		case v <= gamma1:
			length++
			if v > gamma1/2 {
				positive++
			}
		case v >= q-gamma1 && v < q:
			length++
			if v < q-gamma1/2 {
				negative++
			}
		default:
			if length >= 256 && positive >= 32 && negative >= 32 {
				n++
			}
			length, positive, negative = 0, 0, 0
		}
	}
	return n
}

func (f finding) String() string {
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(f.hits)) {
		parts = append(parts, fmt.Sprintf("%s %d", c, f.hits[c]))
	}
	return fmt.Sprintf("%d MB read, hits [%s], in the region %d, refused %d bytes, masks %d %s",
		f.bytes>>20, strings.Join(parts, ", "), sum(f.region), f.refused, f.masks, strings.Join(f.where[:min(len(f.where), 4)], "\n"))
}

func sum(m map[string]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}
