package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/bench"
	"github.com/terradourada/td/internal/fault"
)

func TestBenchVerdict(t *testing.T) {
	r := &bench.Report{Budgets: []bench.Budget{{Name: "one", Holds: true}, {Name: "two"}, {Name: "three"}}}
	var f *fault.Fault
	if err := benchVerdict(r); !errors.As(err, &f) || f.Exit != fault.Negative || !strings.HasPrefix(f.What, "2 of 3 budgets do not hold: two, three") {
		t.Error(err)
	}
	if err := benchVerdict(&bench.Report{Budgets: r.Budgets[:1]}); err != nil {
		t.Error(err)
	}
}
