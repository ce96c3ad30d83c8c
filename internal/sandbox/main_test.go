package sandbox_test

import (
	"os"
	"testing"
)

// TestMain is a child of the tests when its first argument says so.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArgument {
		os.Exit(child(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// childArgument is the first argument of a child; the others say what it does.
const childArgument = "sandbox-child"
