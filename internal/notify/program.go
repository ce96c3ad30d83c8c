package notify

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// Kind is the kind of the notifier among the children of a server.
const Kind = "notifier"

// childArg is the first argument of the notifier's process. The second is the user id that
// it becomes if it is root, the third the first pause between two attempts in
// milliseconds, the fourth the certificates of authorities in base64; the others are the
// allowed destinations.
const childArg = "internal-notifier"

// Exit statuses of the notifier's process.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// Program is what a notifier is started with.
type Program struct {
	UID         int           // that it becomes if it is root
	Allowed     []string      // destinations, see [ParseAllowed]
	Authorities []byte        // trusted besides those of the system, see [ReadAuthorities]
	Pause       time.Duration // before the first retry; 0 is the usual one
}

// Arguments are the arguments behind the program's name for a notifier, as [RunChild] takes
// them.
func (p *Program) Arguments() map[string][]string {
	return map[string][]string{Kind: append([]string{
		childArg, strconv.Itoa(p.UID), strconv.FormatInt(p.Pause.Milliseconds(), 10), base64.StdEncoding.EncodeToString(p.Authorities),
	}, p.Allowed...)}
}

// RunChild runs the notifier if the arguments of a process ask for it, and returns the
// exit status with true. Any other arguments are not for it. It belongs first in main.
func RunChild(args []string) (status int, ok bool) {
	if len(args) < 5 || args[1] != childArg {
		return 0, false
	}
	uid, err := strconv.ParseUint(args[2], 10, 31)
	ms, perr := strconv.ParseUint(args[3], 10, 31)
	allowed, aerr := ParseAllowed(args[5:])
	authorities, cerr := decodeAuthorities(args[4])
	if errors.Join(err, perr, aerr, cerr) != nil {
		return exitUsage, true
	}
	sock, ok := process.Begin()
	if !ok {
		return exitUsage, true
	}
	p := usualPauses
	if ms > 0 {
		p.first = time.Duration(ms) * time.Millisecond
	}
	if runProgram(sock, int(uid), newNetwork(allowed, authorities), p) != nil {
		return exitError, true
	}
	return exitOK, true
}

func decodeAuthorities(text string) ([]*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificates(der)
}

// runProgram delivers until the socket ends. It reads the secrets after it has given up
// what it does not need.
func runProgram(sock *os.File, uid int, to *network, p pauses) error {
	file := os.NewFile(process.ChildFile, "store")
	posture, err := sandbox.Enter(sandbox.Config{Profile: sandbox.Notifier, UID: uid, MaxFile: StoreSize})
	if err != nil {
		return err
	}
	s, err := openStore(dataSync{file})
	if err != nil {
		return err
	}
	conn, err := process.Conn(sock)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	d := newDeliverer(ctx, to.client(), to.allowed, s, p)
	defer d.wait()
	defer end()
	return serve(ctx, conn, d, posture.Text())
}

// maxAtOnce bounds the requests in work.
const maxAtOnce = 16

// serve answers requests until the socket ends.
func serve(ctx context.Context, conn readWriter, d *deliverer, posture string) error {
	var writing sync.Mutex
	send := func(a answer) {
		writing.Lock()
		defer writing.Unlock()
		_ = writeFrame(conn, a) // a core that is gone ends the reading, too
	}
	text, err := json.Marshal(posture)
	if err != nil {
		return err
	}
	send(answer{Body: text})
	places := make(chan struct{}, maxAtOnce)
	var work sync.WaitGroup
	defer work.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	for {
		var r request
		if err := readFrame(conn, &r); err != nil {
			return err
		}
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			send(answerTo(ctx, d, &r))
		})
	}
}

func answerTo(ctx context.Context, d *deliverer, r *request) answer {
	a := answer{ID: r.ID}
	body, err := d.handle(ctx, r)
	if err == nil && body != nil {
		a.Body, err = json.Marshal(body)
	}
	if err != nil {
		a.Error = err.Error()[:min(len(err.Error()), 400)]
	}
	return a
}
