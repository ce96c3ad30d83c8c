//go:build memscan && linux

package keyholder_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// First arguments of the processes that are scanned, beside signer and tagger.
// The second is what the keys are derived from, the third of a core the level
// of memory to ask for.
const (
	scanCore    = "memscan-core"
	scanControl = "memscan-control"
)

// memscanProcess runs one of them and reports whether it did.
func memscanProcess(args []string) bool {
	switch {
	case len(args) == 4 && args[1] == scanCore:
		if err := newCoreProcess(args[2], args[3]).serve(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	case len(args) == 3 && args[1] == scanControl:
		control(args[2])
	default:
		return false
	}
	return true
}

// derived is what draw returns in a child of the seed.
func derived(seed, which string) [32]byte { return sha256.Sum256([]byte(seed + "/" + which)) }

// scanStarter starts children that derive their keys and stop at a stage.
func scanStarter(seed, level, stage string) keyholder.Starter {
	return process.Direct{Programs: map[string][]string{
		"signer": {"internal-signer", strconv.Itoa(sandbox.FirstUID), seed, level, stage},
		"tagger": {"internal-tagger", strconv.Itoa(sandbox.FirstUID + 1), seed, level, stage},
	}}
}

// known are the payloads of a core whose signatures the scan looks for.
const known = 32

// coreInfo is the first line of a core.
type coreInfo struct {
	Signer, Tagger int // process ids
	Memory         [2]string
	Grade          string // of the signer
	Payloads       [][]byte
}

// coreProcess drives real children and obeys lines of its standard input, each
// of which it answers with "ok".
type coreProcess struct {
	cfg    keyholder.Config
	signer *keyholder.Signer
	tagger *keyholder.Tagger
	seq    atomic.Uint64
	rounds atomic.Uint64
}

func newCoreProcess(seed, level string) *coreProcess {
	return &coreProcess{cfg: keyholder.Config{
		Starter: scanStarter(seed, level, "nowhere"),
	}}
}

func (c *coreProcess) serve() (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.signer, err = keyholder.StartSigner(ctx, c.cfg, keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance}); err != nil {
		return err
	}
	if c.tagger, err = keyholder.StartTagger(ctx, c.cfg, c.signer.EpochID(), 7); err != nil {
		return err
	}
	if err := c.introduce(ctx); err != nil {
		return err
	}
	var load sync.WaitGroup
	stop := func() {}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "load":
			busy, halt := context.WithCancel(ctx)
			stop = halt
			for range 8 {
				load.Go(func() { c.work(busy) })
			}
		case "stop":
			stop()
			load.Wait()
		case "seal":
			if err := c.seal(ctx); err != nil {
				return err
			}
		}
		fmt.Println("ok")
	}
	return nil
}

// seal is the end of an epoch that hands over, to the wipe of both keys.
func (c *coreProcess) seal(ctx context.Context) error {
	if err := c.signer.Wipe(ctx); err != nil {
		return err
	}
	if _, err := c.signer.IssuedRoot(ctx); err != nil {
		return err
	}
	if _, err := c.signer.Handover(ctx, protocol.EpochID{1}, 8, [32]byte{2}); err != nil {
		return err
	}
	return c.signer.Wipe(ctx)
}

func (c *coreProcess) introduce(ctx context.Context) error {
	info := coreInfo{
		Signer: c.signer.Pid(), Tagger: c.tagger.Pid(),
		Grade:  c.signer.Posture().Grade().String(),
		Memory: [2]string{c.signer.Posture().Probe(sandbox.KeyMemory).Value, c.tagger.Posture().Probe(sandbox.KeyMemory).Value},
	}
	if err := c.signer.Begin(ctx, protocol.Range{}); err != nil {
		return err
	}
	for range known {
		p := payload(c.signer.EpochID(), c.seq.Add(1))
		if _, _, err := c.signer.Anchor(ctx, &p); err != nil {
			return err
		}
		info.Payloads = append(info.Payloads, p[:])
	}
	line, err := json.Marshal(info)
	fmt.Println(string(line))
	return err
}

// work anchors, issues, redeems and has roots and checkpoints signed until told
// to stop.
func (c *coreProcess) work(ctx context.Context) {
	for ctx.Err() == nil {
		p := payload(c.signer.EpochID(), c.seq.Add(1))
		_, position, _ := c.signer.Anchor(ctx, &p)
		draft := payload(c.signer.EpochID(), 0)
		if issued, tag, err := c.tagger.Issue(ctx, &draft); err == nil {
			_, _ = c.tagger.Redeem(ctx, &issued, tag)
		}
		if n := c.rounds.Add(1); n%16 == 0 {
			_, _ = c.signer.Issued(ctx, position)
			_ = c.signer.Extend(ctx, []protocol.Digest{{byte(n)}})
			_, _ = c.signer.Checkpoint(ctx)
		}
	}
}

// controlMessage is what the control has signed.
const controlMessage = "a message whose signature is kept"

// control is a process that uses the same keys as one does who thinks of
// nothing: on the heap, with the usual packages.
func control(seed string) {
	origin, check, tag := derived(seed, "origin"), derived(seed, "checkpoint"), derived(seed, "tag")
	_, private := mldsa65.NewKeyFromSeed(&origin)
	packed := private.Bytes()
	fresh, used := hmac.New(sha256.New, tag[:]), hmac.New(sha256.New, tag[:])
	used.Sum(nil)
	used.Reset()
	note := ed25519.NewKeyFromSeed(check[:])
	expanded := sha512.Sum512(check[:])
	expanded[0] &= 248
	expanded[31] = expanded[31]&127 | 64
	message := []byte(controlMessage)
	kept, random, mask := signature(seed, private, message), derived(seed, keyholder.Hedge(message)), maskSeed(seed, private, message)
	fmt.Println("ok")
	for range 2 {
		go func() {
			sig := make([]byte, mldsa65.SignatureSize)
			for {
				_ = mldsa65.SignTo(private, sig[:32], nil, true, sig)
				time.Sleep(time.Microsecond)
			}
		}()
	}
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	for _, v := range []any{&origin, &tag, private, packed, fresh, used, note, &expanded, kept, &random, &mask} {
		runtime.KeepAlive(v)
	}
}
