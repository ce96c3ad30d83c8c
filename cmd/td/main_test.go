package main_test

import (
	"os"
	"testing"

	td "github.com/terradourada/td/cmd/td"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/prover"
)

// asProgram is the environment variable that makes the test binary td itself.
const asProgram = "RUN_AS_TERRA_DOURADA"

// TestMain is main of the program under test: the keyholders, the prover and
// td are this very binary, started again.
func TestMain(m *testing.M) {
	if status, ok := keyholder.RunChild(os.Args); ok {
		os.Exit(status)
	}
	if status, ok := prover.RunChild(os.Args); ok {
		os.Exit(status)
	}
	if os.Getenv(asProgram) != "" {
		os.Exit(td.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
