package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	td "github.com/terradourada/td/cmd/td"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/testdata/logtest"
)

//go:generate go test -count=1 -run ^TestConfigReference$ -update .

const configReference = "../../docs/reference/config.md"

// TestConfigReference compares docs/reference/config.md with the settings.
func TestConfigReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Configuration\n\nGenerated from the program by `go generate ./cmd/td`; do not edit.\n\n" +
		"Nothing has to be configured. A flag counts more than an environment variable, that more than the file, that more\n" +
		"than the default. The file is TOML without sections, strict: `config.toml` in the data directory, or what `--config`\n" +
		"or `TD_CONFIG` names. `td config print --origins` shows what is in force and why, `td config validate` checks a file.\n" +
		"No key of the protocol and no password can be configured.\n")
	for _, key := range config.Keys() {
		text, err := config.Explain(key)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ = strings.Cut(text, "\n\n")
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", key, strings.ReplaceAll(strings.TrimPrefix(text, "  "), "\n  ", "\n"))
	}
	if *update {
		if err := os.WriteFile(configReference, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(configReference)
	if err != nil || string(committed) != b.String() {
		t.Errorf("docs/reference/config.md is not what the program says (%v): go generate ./cmd/td", err)
	}
}

// runTD runs td in this process.
func runTD(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = td.Run(args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// configHome sets an environment without settings.
func configHome(t *testing.T) (data string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("XDG_STATE_HOME", home)
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "TD_") {
			t.Setenv(name, "")
		}
	}
	data = filepath.Join(home, "terradourada")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return data
}

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConfigPrint(t *testing.T) {
	data := configHome(t)
	writeConfig(t, filepath.Join(data, "config.toml"), "max_sessions = 5000\nttl_ms = 2000\n")
	t.Setenv("TD_TTL_MS", "3000")
	t.Setenv("TD_LISTN", "127.0.0.1:1")
	code, out, stderr := runTD("config", "print", "--origins", "--listen", "127.0.0.1:9000")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{
		`listen = "127.0.0.1:9000"  # flag --listen` + "\n",
		"ttl_ms = 3000  # environment TD_TTL_MS\n",
		"max_sessions = 5000  # file " + filepath.Join(data, "config.toml") + ":1\n",
		"max_lag = 4096  # default\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the settings lack %q:\n%s", want, out)
		}
	}
	if !strings.Contains(stderr, "did you mean TD_LISTEN?") {
		t.Errorf("nothing is said about the misspelt variable: %s", stderr)
	}
	// What is printed can be used.
	file := filepath.Join(t.TempDir(), "printed.toml")
	writeConfig(t, file, out)
	t.Setenv("TD_TTL_MS", "")
	code, again, stderr := runTD("config", "print", "--config", file)
	if plain := stripComments(out); code != 0 || again != plain {
		t.Errorf("read again (exit %d, %s), the settings are\n%s\nwant\n%s", code, stderr, again, plain)
	}
}

func stripComments(settings string) string {
	var b strings.Builder
	for line := range strings.Lines(settings) {
		line, _, _ = strings.Cut(line, "  # ")
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

func TestConfigExplain(t *testing.T) {
	configHome(t)
	code, out, _ := runTD("config", "explain", "ttl-ms")
	if code != 0 || !strings.HasPrefix(out, "ttl_ms\n\n") || !strings.Contains(out, "from 1000 to 600000") || !strings.Contains(out, "TD_TTL_MS") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	code, out, _ = runTD("config", "explain")
	if lines := strings.Count(out, "\n"); code != 0 || lines != len(config.Keys()) {
		t.Errorf("exit %d, %d lines for %d settings", code, lines, len(config.Keys()))
	}
	code, out, stderr := runTD("config", "explain", "max_session")
	if code != 2 || out != "" || !strings.Contains(stderr, `did you mean "max_sessions"?`) {
		t.Errorf("exit %d: %q %s", code, out, stderr)
	}
}

// TestConfigValidateCosigners: the policy file that the setting names is read, and is
// refused as td serve refuses it.
func TestConfigValidateCosigners(t *testing.T) {
	data := configHome(t)
	code, lines, stderr := runTD("cosign", "init", "--dir", filepath.Join(data, "cosigner"), "--name", "a.example")
	if code != 0 {
		t.Fatal(stderr)
	}
	file, policy := filepath.Join(data, "config.toml"), filepath.Join(data, "cosigners.txt")
	lines = "origin terradourada/0123456789abcdef\n" + lines + "quorum a.example\n"
	located := logtest.AtURL(lines, "https://a.example")
	for name, tt := range map[string]struct{ policy, allow, want string }{
		"good":        {located, "a.example", ""},
		"not allowed": {located, "b.example", "add its host and port to notify_allow"},
		"no URL":      {lines, "a.example", "names 0 URLs"},
		"no quorum":   {strings.Replace(located, "quorum", "quorums", 1), "a.example", policy},
		"no file":     {"", "a.example", policy},
	} {
		if err := os.Remove(policy); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if tt.policy != "" {
			writeConfig(t, policy, tt.policy)
		}
		writeConfig(t, file, fmt.Sprintf("cosigners = %q\nnotify_allow = [%q]\n", policy, tt.allow))
		code, _, stderr := runTD("config", "validate")
		if (code == 0) != (tt.want == "") || code != 0 && (code != 8 || !strings.Contains(stderr, tt.want)) {
			t.Errorf("%s: exit %d, %s; want %q", name, code, stderr, tt.want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	data := configHome(t)
	code, out, _ := runTD("config", "validate")
	if code != 0 || !strings.HasPrefix(out, "no configuration file") {
		t.Errorf("without a file: exit %d, %q", code, out)
	}
	file := filepath.Join(data, "config.toml")
	writeConfig(t, file, "max_sessions = 10\n")
	for _, args := range [][]string{{"config", "validate"}, {"config", "validate", file}} {
		if code, out, stderr := runTD(args...); code != 0 || out != file+" is valid\n" {
			t.Errorf("%q: exit %d, %q %s", args, code, out, stderr)
		}
	}
	for text, want := range map[string][]string{
		"max_sesions = 10\n":                 {file + ":1:1: ", "    max_sesions = 10\n    ^^^^^^^^^^^\n", `did you mean "max_sessions"?`},
		"max_sessions = 0\n":                 {file + ":1:1: ", "max_sessions"},
		"\nmax_sessions = \"10\"\n":          {file + ":2:1: "},
		"max_sessions = \n":                  {file + ":1:", "not TOML"},
		"listen = \"0.0.0.0:80\"\n":          {file + ":1", "allow_insecure_listen"},
		"tls_key = \"-----BEGIN KEY\"\n":     {"tls_"},
		"[server]\nlisten = \"127.0.0.1\"\n": {file + ":1:2: ", "no sections"},
	} {
		writeConfig(t, file, text)
		code, out, stderr := runTD("config", "validate", file)
		if code != 8 || out != "" {
			t.Errorf("%q: exit %d, %q", text, code, out)
		}
		for _, w := range want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%q: the complaint lacks %q:\n%s", text, w, stderr)
			}
		}
	}
	if code, _, _ := runTD("config", "validate", filepath.Join(data, "none.toml")); code != 8 {
		t.Errorf("a file that is not there: exit %d", code)
	}
}
