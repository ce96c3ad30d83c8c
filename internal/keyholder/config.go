package keyholder

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// Starter starts a child of a kind with one end of a stream socket as its
// descriptor 3.
type Starter interface {
	Start(kind string) (*process.Child, error)
}

// Programs are the arguments behind the program's name for each kind of child,
// as [RunChild] takes them. A child that is started as root becomes a user of its
// own: the signer uid, the tagger the next one; 0 leaves both root. The users are
// arguments of the starter, so that a core under an attacker's control cannot choose
// them.
func Programs(uid int) map[string][]string {
	next := uid + 1
	if uid == 0 {
		next = 0
	}
	return map[string][]string{kindSigner: childArgs(kindSigner, uid), kindTagger: childArgs(kindTagger, next)}
}

// Config says how children are started and how long they are waited for. The
// zero value starts the running executable again, which must call [RunChild]
// first in main.
type Config struct {
	// Starter starts the children, of kinds "signer" and "tagger"; nil starts
	// them from this process, without a user of their own.
	Starter Starter

	// Core is the measure [sandbox.Core] of this process, which becomes the last
	// one of every posture; the zero value is a core that can open its children.
	Core sandbox.Probe

	// Log receives the starts and ends of children; nil discards them.
	Log *slog.Logger

	// Died is called with the kind of a child that exited and was not told to. May be
	// nil.
	Died func(kind string)

	// Breached is called with the kind of a child that answered what was not asked, or
	// not as it must. May be nil.
	Breached func(kind string)

	// ReadyTimeout bounds a start, AnswerTimeout the answer to one request (a
	// child that takes longer is killed), CloseGrace how long an orderly end
	// waits before it kills. 0 is 10 s, 10 s and 3 s.
	ReadyTimeout  time.Duration
	AnswerTimeout time.Duration
	CloseGrace    time.Duration

	// InFlight bounds the requests that one child has not answered yet; 0 is
	// 1,024.
	InFlight int

	// MinGrade is the least grade of protection that a child must reach to be
	// used; the error is a [sandbox.Refusal] otherwise. 0 takes any.
	MinGrade sandbox.Grade

	// Capacity bounds the requests a tagger remembers. Each is remembered until
	// its deadline, so that capacity / ttl is the rate of issue that can be
	// kept up. 0 is 262,144.
	Capacity uint32
}

func (c Config) withDefaults() Config {
	if c.Starter == nil {
		c.Starter = process.Direct{Programs: Programs(0)}
	}
	if c.Core.ID == "" {
		c.Core = sandbox.Measure(sandbox.Core, sandbox.StateMissing, "not given up: it may open its children")
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.ReadyTimeout = cmp.Or(c.ReadyTimeout, 10*time.Second)
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, answerTimeout)
	c.CloseGrace = cmp.Or(c.CloseGrace, 3*time.Second)
	c.InFlight = cmp.Or(c.InFlight, 1024)
	c.Capacity = cmp.Or(c.Capacity, 1<<18)
	return c
}
