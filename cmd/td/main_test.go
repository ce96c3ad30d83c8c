package main_test

import (
	"os"
	"strings"
	"testing"

	td "github.com/terradourada/td/cmd/td"
	"github.com/terradourada/td/internal/node"
)

// asProgram is the environment variable that makes the test binary td itself.
const asProgram = "RUN_AS_TERRA_DOURADA"

// deniedCalls names the system calls that a filter refuses to td and all its
// children, separated by commas.
const deniedCalls = "RUN_WITHOUT_SYSTEM_CALLS"

// TestMain is main of the program under test: the keyholders, the prover and
// td are this very binary, started again.
func TestMain(m *testing.M) {
	rest, status, ended := runMarkedChild(os.Args)
	if ended {
		os.Exit(status)
	}
	os.Args = rest
	if status, ok := node.RunChild(os.Args); ok {
		os.Exit(status)
	}
	if spec := os.Getenv(asStranger); spec != "" {
		os.Exit(runStranger(spec))
	}
	for _, v := range developmentEnv() {
		name, value, _ := strings.Cut(v, "=")
		_ = os.Setenv(name, value)
	}
	if denied := os.Getenv(deniedCalls); denied != "" {
		os.Exit(runDenied(denied))
	}
	if len(os.Args) > 2 && os.Args[1] == intruderArgument {
		os.Exit(intruder(os.Args[2:]))
	}
	if os.Getenv(asProgram) != "" {
		if err := setMark(); err != nil {
			panic(err)
		}
		harbour()
		os.Exit(td.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
