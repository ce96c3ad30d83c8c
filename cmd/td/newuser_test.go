package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
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

// TestBuildIsReproducible builds copies of the sources in two directories: the programs
// are the same, byte for byte, and their bill of materials is what "go version -m" lists. The packages
// come from the build cache; "make reproducible" compiles them again.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the program twice")
	}
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "another", "directory")}
	var programs [][]byte
	var paths []string
	for _, dir := range dirs {
		copySources(t, dir)
		paths = append(paths, build(t, dir))
		programs = append(programs, contentsOf(t, paths[len(paths)-1]))
	}
	if sha256.Sum256(programs[0]) != sha256.Sum256(programs[1]) {
		t.Error("the program depends on the directory that it is built in")
	}
	for i, dir := range dirs {
		if bytes.Contains(programs[i], []byte(dir+"/")) {
			t.Errorf("the program holds the path %s", dir)
		}
	}
	checkMaterials(t, paths[0], programs[0])
}

// copySources copies what the program is built from.
func copySources(t *testing.T, dir string) {
	t.Helper()
	root := filepath.Join("..", "..")
	for _, part := range []string{"api", "audit", "claim", "client", "cmd", "internal", "protocol", "receipt"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(dir, file), contentsOf(t, filepath.Join(root, file)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// checkMaterials compares the bill of materials of a program with what the go command
// reads from the file.
func checkMaterials(t *testing.T, path string, program []byte) {
	t.Helper()
	out, err := exec.Command(path, "version", "--sbom").Output()
	if err != nil {
		t.Fatal(err)
	}
	type component struct {
		Name, Version string
		Hashes        []struct{ Content string }
		Licenses      []struct{ License struct{ ID string } }
		Properties    []struct{ Name, Value string }
	}
	var bill struct {
		Metadata   struct{ Component component }
		Components []component
	}
	if err := json.Unmarshal(out, &bill); err != nil {
		t.Fatal(err)
	}
	listed, err := exec.Command("go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(listed)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "dep" {
			want = append(want, strings.Join(f[1:], " "))
		}
	}
	for _, c := range bill.Components[1:] {
		if len(c.Licenses) != 1 || c.Licenses[0].License.ID == "" || len(c.Properties) != 1 {
			t.Errorf("%s has no licence or no hash: %+v", c.Name, c)
			continue
		}
		got = append(got, c.Name+" "+c.Version+" "+c.Properties[0].Value)
	}
	if !slices.Equal(got, want) || len(want) < 40 {
		t.Errorf("the bill lists %q, go version -m %q", got, want)
	}
	if std := bill.Components[0]; std.Name != "stdlib" || !strings.HasPrefix(runtime.Version(), "go"+std.Version) {
		t.Errorf("first component %+v, built with %s", std, runtime.Version())
	}
	sum := sha256.Sum256(program)
	if h := bill.Metadata.Component.Hashes; len(h) != 1 || h[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("hashes of the program %+v, want %x", h, sum)
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
