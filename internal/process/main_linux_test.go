package process_test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/terradourada/td/internal/process"
)

// TestMain is a launcher, or a child of one, when its arguments say so.
func TestMain(m *testing.M) {
	if status, ok := process.RunLauncher(os.Args); ok {
		os.Exit(status)
	}
	if len(os.Args) >= 3 && os.Args[1] == childArgument {
		os.Exit(child(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) == 2 && os.Args[1] == coreArgument {
		core()
	}
	if len(os.Args) == 3 && os.Args[1] == openArgument {
		pid, _ := strconv.Atoi(os.Args[2])
		fmt.Println(opened(pid))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// First arguments of a child and of a core of these tests.
const (
	childArgument = "launcher-test-child"
	coreArgument  = "launcher-test-core"
	openArgument  = "launcher-test-open"
)

// child is a program that a launcher starts.
func child(what string, args []string) int {
	sock := os.NewFile(process.ChildSocket, "core")
	switch what {
	case "echo":
		_, _ = io.Copy(sock, sock)
	case "arguments":
		_, _ = fmt.Fprintf(sock, "%q", args)
	case "exit":
		status, _ := strconv.Atoi(args[0])
		return status
	case "stay": // also when its socket ends
		time.Sleep(time.Hour)
	}
	return 0
}

// programs are the kinds of children in these tests.
func programs() map[string][]string {
	return map[string][]string{
		"echo":      {childArgument, "echo"},
		"arguments": {childArgument, "arguments", "a", "", "b c"},
		"exit":      {childArgument, "exit", "7"},
		"stay":      {childArgument, "stay"},
	}
}
