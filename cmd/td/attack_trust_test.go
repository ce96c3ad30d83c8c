package main_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAttacksTrust attacks what docs/security/trust.md promises. Each subtest is
// one attack, made against real servers and the real commands; it fails if a
// command believed the attacker. Which verdicts are right follows from sections
// 10 to 13 and 16 of the specification.
//
// TD_ATTACKS_OUT names a file that gets a line of JSON for each attack.
// TD_ATTACKS_FULL asks for the full number of abandoned requests.
func TestAttacksTrust(t *testing.T) {
	c, results := newScene(t), new(attackResults)
	t.Cleanup(func() { results.write(t) })
	for name, attacks := range map[string][]func(*siege){
		"servers": { // which all have the one address and data directory of the real server
			(*siege).attackExtensions, (*siege).attackRecords, (*siege).attackTrustWriters, (*siege).attackFirstUse, (*siege).attackHistories,
		},
		"certificates": { // which have that of the server behind TLS
			(*siege).attackServers, (*siege).attackStaleNames,
		},
		"requests": {
			(*siege).attackIssue,
		},
		"logs": {
			(*siege).attackOwnKeys, (*siege).attackCore, (*siege).attackSigner, (*siege).attackWithdrawals,
			(*siege).attackTrustFile, (*siege).attackForms, (*siege).attackEvidence,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &siege{t: t, scene: c, results: results}
			for _, attack := range attacks {
				attack(s)
			}
		})
	}
}

// siege is a series of attacks.
type siege struct {
	t       *testing.T
	scene   *scene
	results *attackResults

	realServer, cloneServer *backend // started when they are first asked for
}

// attackResults are those of all attacks so far.
type attackResults struct {
	mu  sync.Mutex
	all []attackResult
}

// attackResult is one attack and what the commands of the victim said.
type attackResult struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"` // begins with FOOLED if a command believed the attacker
}

// attack is one attack in progress.
type attack struct {
	*testing.T
	siege *siege
	said  []string
}

// attack runs one attack as a subtest and notes its verdicts.
func (s *siege) attack(name string, run func(a *attack)) {
	s.t.Helper()
	s.t.Run(name, func(t *testing.T) {
		a := &attack{T: t, siege: s}
		defer func() {
			verdict := strings.Join(distinct(a.said), ", ")
			if verdict == "" {
				t.Error("the attack came to no verdict")
			}
			if t.Failed() {
				verdict = "FOOLED: " + verdict
			}
			s.results.mu.Lock()
			defer s.results.mu.Unlock()
			s.results.all = append(s.results.all, attackResult{name, verdict})
		}()
		run(a)
	})
}

// distinct leaves out what was said before.
func distinct(all []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// skip leaves the attack out, and says so in its verdict.
func (a *attack) skip(reason string) {
	a.said = append(a.said, "skipped: "+reason)
	a.SkipNow()
}

// want notes a verdict, which must be one of those that are right.
func (a *attack) want(s said, right ...string) said {
	a.Helper()
	a.note(s.command, s.verdict)
	if !slices.Contains(right, s.verdict) {
		a.Errorf("td %s: the verdict is %s, right would be %s\n%s%s", strings.Join(s.args, " "), s.verdict, strings.Join(right, " or "), s.out, s.errs)
	}
	return s
}

func (a *attack) note(who, verdict string) { a.said = append(a.said, who+" "+verdict) }

func (a *attack) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// write puts the results where TD_ATTACKS_OUT says.
func (s *attackResults) write(t *testing.T) {
	t.Helper()
	name := os.Getenv("TD_ATTACKS_OUT")
	if name == "" {
		return
	}
	var lines []byte
	for _, r := range s.all {
		line, err := json.Marshal(r)
		if err != nil {
			t.Error(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := os.WriteFile(name, lines, 0o600); err != nil {
		t.Error(err)
	}
}
