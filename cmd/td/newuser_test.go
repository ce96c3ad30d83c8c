package main_test

import (
	"bytes"
	"crypto/sha256"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestServeSaysFourLines: a server without configuration listens on loopback only, and says
// in four lines which log it keeps, where its checkpoint is, what to do next, and its URL.
func TestServeSaysFourLines(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--log-level", "error")
	var said []string
	eventually(t, 10*time.Second, "the line that it is ready is not whole", func() bool {
		said = nil
		for line := range strings.Lines(b.stderr()) {
			if text, ok := strings.CutPrefix(line, "td: "); ok {
				said = append(said, text)
			}
		}
		return len(said) > 0 && strings.HasPrefix(said[len(said)-1], "ready ") && strings.HasSuffix(said[len(said)-1], "\n")
	})
	if len(said) != 4 || !strings.Contains(strings.Join(said, ""), b.data) || !strings.Contains(strings.Join(said, ""), "td submit --server "+b.url) {
		t.Errorf("it says %q", said)
	}
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(u.Hostname()); !ip.IsLoopback() {
		t.Errorf("it listens on %s", u.Host)
	}
}

// build builds the program from a tree of sources, as make build does.
func build(t *testing.T, source string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "td")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/td")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=runtimesecret", "GOFLAGS=-mod=readonly", "PWD="+source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestBuildIsReproducible builds the same sources in two directories: the programs are the
// same, byte for byte.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the program twice")
	}
	here, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for _, part := range []string{"api", "audit", "claim", "client", "cmd", "internal", "protocol", "receipt"} {
		if err := os.CopyFS(filepath.Join(elsewhere, part), os.DirFS(filepath.Join(here, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(elsewhere, file), contentsOf(t, filepath.Join(here, file)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := contentsOf(t, build(t, here)), contentsOf(t, build(t, elsewhere))
	if sha256.Sum256(first) != sha256.Sum256(second) {
		t.Error("the program depends on the directory that it is built in")
	}
	for _, dir := range []string{here, elsewhere} {
		if bytes.Contains(first, []byte(dir+"/")) || bytes.Contains(second, []byte(dir+"/")) {
			t.Errorf("the program holds the path %s", dir)
		}
	}
}

func contentsOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
