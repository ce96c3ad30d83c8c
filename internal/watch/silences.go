package watch

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Silence hides the notifications of some alerts until its end.
type Silence struct {
	ID      string    `json:"id"`    // follows from rule and scope
	Rule    string    `json:"rule"`  // "*" for every rule
	Scope   string    `json:"scope"` // "*" for every scope
	Author  string    `json:"author"`
	Reason  string    `json:"reason"`
	Created time.Time `json:"created"`
	Until   time.Time `json:"until"`
}

// Bounds of silences.
const (
	MaxSilence  = 7 * 24 * time.Hour
	maxSilences = 64
)

// anyOf is the rule or scope of a silence that covers all of them.
const anyOf = "*"

func (s *Silence) covers(a *alert) bool {
	return (s.Rule == anyOf || s.Rule == a.rule.Name) && (s.Scope == anyOf || s.Scope == a.scope)
}

// hides returns why an alert that the silence covers is hidden.
func (s *Silence) hides() string { return "silenced by " + s.Author }

// Check refuses a silence that the engine would not take. Nothing covers the heartbeat.
func (e *Engine) Check(now time.Time, s *Silence) error {
	known := slices.ContainsFunc(e.rules, func(r Rule) bool { return r.Name == s.Rule })
	switch {
	case s.Rule != anyOf && !known:
		return fmt.Errorf("there is no rule %q", s.Rule)
	case s.Rule == anyOf && s.Scope == anyOf:
		return errors.New("a silence names a rule, a scope, or both")
	case s.Scope == "" || len(s.Scope) > 128 || strings.ContainsAny(s.Scope, " \t\r\n"):
		return errors.New("the scope is server, client:NAME, network:PREFIX, claim:ID, prover:NAME or *")
	case s.Author == "" || s.Reason == "":
		return errors.New("a silence needs an author and a reason")
	case !s.Until.After(now):
		return errors.New("the silence would be over already")
	case s.Until.Sub(now) > MaxSilence:
		return errors.New("a silence lasts at most 7 days")
	case len(e.silences) >= maxSilences && e.indexOf(Fingerprint(s.Rule, s.Scope)) < 0:
		return fmt.Errorf("there are %d silences already", maxSilences)
	}
	return nil
}

func (e *Engine) indexOf(id string) int {
	return slices.IndexFunc(e.silences, func(o Silence) bool { return o.ID == id })
}

// Silence adds a silence. It replaces one for the same rule and scope.
func (e *Engine) Silence(now time.Time, s Silence) (Silence, error) {
	if err := e.Check(now, &s); err != nil {
		return Silence{}, err
	}
	s.ID, s.Created = Fingerprint(s.Rule, s.Scope), now
	if i := e.indexOf(s.ID); i >= 0 {
		e.silences = slices.Delete(e.silences, i, i+1)
	}
	e.silences = append(e.silences, s)
	for _, a := range e.alerts { // as the next tick finds them
		if s.covers(a) {
			a.hidden = s.hides()
		}
	}
	return s, nil
}

// ErrNotFound means that there is no silence, or no alert, of an id.
var ErrNotFound = errors.New("there is none of this id")

// Unsilence ends a silence before its time.
func (e *Engine) Unsilence(id string) error {
	i := e.indexOf(id)
	if i < 0 {
		return ErrNotFound
	}
	e.silences = slices.Delete(e.silences, i, i+1)
	return nil
}

// Silences lists the silences that are not over, the first to end first.
func (e *Engine) Silences(now time.Time) []Silence {
	list := slices.DeleteFunc(slices.Clone(e.silences), func(s Silence) bool { return !now.Before(s.Until) })
	slices.SortFunc(list, func(a, b Silence) int { return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Verdict is what a person says of an alert of a rule.
type Verdict struct {
	Rule string
	Word string // one of the words below
}

// The words of a verdict.
const (
	Useful  = "useful"
	Useless = "useless" // true, and no one had to know
	False   = "false"
)

// Words lists the words of a verdict.
func Words() []string { return []string{Useful, Useless, False} }

// Feedback counts what a person says of an alert that is active or has ended lately, and
// returns its rule.
func (e *Engine) Feedback(fingerprint, word string) (rule string, err error) {
	if !slices.Contains(Words(), word) {
		return "", fmt.Errorf("a verdict is one of %s", strings.Join(Words(), ", "))
	}
	of := func(a *alert) bool { return Fingerprint(a.rule.Name, a.scope) == fingerprint }
	for _, a := range e.alerts {
		if of(a) {
			rule = a.rule.Name
		}
	}
	for _, a := range e.over {
		if of(a) {
			rule = a.rule.Name
		}
	}
	if rule == "" {
		return "", ErrNotFound
	}
	e.feedback[Verdict{rule, word}]++
	return rule, nil
}
