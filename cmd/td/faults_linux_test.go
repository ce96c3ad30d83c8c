package main_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// faults produce the sentences of the table "What the server says under a fault"
// of docs/operate.md: each returns what a real server has written, or what a
// client has received. The keys are the sentences as the table has them; an
// ellipsis stands for what differs from case to case.
//
//nolint:thelper // these are the tests
var faults = map[string]func(*testing.T) string{
	"/proc is missing":     func(t *testing.T) string { return whereMounted(t, "umount -l /proc", "data") },
	"/dev/null is missing": func(t *testing.T) string { return whereMounted(t, "mount -t tmpfs none /dev", "data") },
	"is on a file system that is mounted read-only": func(t *testing.T) string {
		return whereMounted(t, "mount -t tmpfs none m && mount -o remount,ro m", "m")
	},
	"is on a file system that is full": func(t *testing.T) string {
		return whereMounted(t, "mount -t tmpfs -o size=2m none m && head -c 1900k /dev/zero > m/fill", "m/data")
	},
	"is on a file system that has no inodes left for further files": func(t *testing.T) string {
		return whereMounted(t, "mount -t tmpfs -o nr_inodes=8 none m", "m/data")
	},
	"belongs to user …, and the server is user …": func(t *testing.T) string { return asOrdinary(t, 1234, 0o700) },
	"may not be written by its owner":             func(t *testing.T) string { return asOrdinary(t, ordinary, 0o500) },
	"is not a directory": func(t *testing.T) string {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return refusedStart(t, launch(t, file))
	},
	"this process may have … files open, and needs …": func(t *testing.T) string {
		return refusedStart(t, launchAs(t, limited(t, 64), nil, t.TempDir()))
	},
	"cannot listen on …": func(t *testing.T) string {
		b := startBackend(t, t.TempDir())
		return refusedStart(t, launch(t, t.TempDir(), "--listen", strings.TrimPrefix(b.url, "http://")))
	},
	"this server does not answer under the host name of the request": func(t *testing.T) string {
		b := startBackend(t, t.TempDir())
		return string(b.asHost("evil.example").body)
	},
	"log lines were lost": lostLines,
	"events were still being proved when the grace ended": stopWithPushes,
	"requests were still in work when the grace ended":    stopWithHalfBody,
	"last checkpoint of the epoch not published":          func(t *testing.T) string { return stopWithout(t, "signer") },
	"keyholder ended": func(t *testing.T) string { return afterDeath(t, "tagger", "epoch replaced") },
	"prover gone":     func(t *testing.T) string { return afterDeath(t, "prover", "prover gone") },
	"keyholders died too often; acceptance is frozen": func(t *testing.T) string {
		return afterDeath(t, "signer", "acceptance is frozen", "--death-limit", "1")
	},
	"launcher ended by itself": launcherDies,

	"the journal is missing beside a log that has entries": func(t *testing.T) string {
		return afterDamage(t, func(data string) error { return os.Remove(filepath.Join(data, "journal.db")) })
	},
	"a file has the name of the server's copy and is not one": func(t *testing.T) string {
		return afterDamage(t, func(data string) error {
			b, err := os.ReadFile(filepath.Join(data, "journal.db"))
			return errors.Join(err, os.WriteFile(filepath.Join(data, "journal.db.copy"), b, 0o644)) // the core is another user
		})
	},
	"the journal does not open: the file is damaged": func(t *testing.T) string { return afterDamage(t, zeroPage) },
	"another process has the journal open for writing": func(t *testing.T) string {
		return refusal(t, launch(t, startBackend(t, t.TempDir()).data, "--socket", filepath.Join(t.TempDir(), "s")))
	},
	"this user may not write there":   deniedJournal,
	"the log is ahead of the journal": olderJournal,
	"the log does not match the journal": func(t *testing.T) string {
		return afterDamage(t, func(data string) error { return os.RemoveAll(filepath.Join(data, "ledger", "tile", "entries")) })
	},
	"the log cannot be read": func(t *testing.T) string {
		return afterDamage(t, func(data string) error {
			name := filepath.Join(data, "ledger", "checkpoint")
			return errors.Join(os.Remove(name), os.Mkdir(name, 0o755))
		})
	},
	"the directory holds the log of another origin": func(t *testing.T) string {
		return afterDamage(t, func(data string) error {
			return os.WriteFile(filepath.Join(data, "ledger", "origin"), []byte("example.org/other\n"), 0o600)
		})
	},
	"the record of what this server has published, …, cannot be used": func(t *testing.T) string {
		return afterDamage(t, func(data string) error {
			return errors.Join(os.RemoveAll(filepath.Join(data, "published")), os.WriteFile(filepath.Join(data, "published"), nil, 0o600))
		})
	},
	"the last process did not close the journal": func(t *testing.T) string {
		data := t.TempDir()
		startBackend(t, data).kill()
		return startBackend(t, data).stderr()
	},
	"journal write failed": fullDisk,
	"ledger stalled":       deniedLedger,
}

// TestFaultSentences: each sentence of the table is produced, and each sentence that
// this file produces is in the table.
func TestFaultSentences(t *testing.T) {
	t.Parallel()
	_, text, found := strings.Cut(fileText(t, "../../docs/operate.md"), "\n## What the server says under a fault\n")
	if !found {
		t.Fatal("docs/operate.md has no such table")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(text, -1) {
		listed[row[1]] = true
		produce := faults[row[1]]
		if produce == nil {
			t.Errorf("no test produces %q", row[1])
			continue
		}
		t.Run(row[1], func(t *testing.T) {
			t.Parallel()
			pattern := strings.ReplaceAll(regexp.QuoteMeta(row[1]), "…", ".+")
			if said := produce(t); !regexp.MustCompile(pattern).MatchString(said) {
				t.Errorf("nothing says %q:\n%s", row[1], said)
			}
		})
	}
	for sentence := range faults {
		if !listed[sentence] {
			t.Errorf("docs/operate.md says nothing about %q", sentence)
		}
	}
	if n := strings.Count(text, "\n| "); n != len(listed)+1 {
		t.Errorf("the table has %d lines and %d sentences: a row has another form", n, len(listed))
	}
}

// refusedStart wants a server that has not started, and to have made nothing, and
// returns what it has written.
func refusedStart(t *testing.T, b *backend) string {
	t.Helper()
	said := refusal(t, b)
	if entries, err := os.ReadDir(b.data); err == nil && len(entries) > 0 {
		t.Errorf("it has made %v", entries)
	}
	return said
}

// refusal wants a server that has not started, and returns what it has written.
func refusal(t *testing.T, b *backend) string {
	t.Helper()
	select {
	case <-b.done:
	case <-time.After(30 * time.Second):
		t.Fatal("it has not ended")
	}
	if code := exitCode(b.err); code != 8 || !strings.Contains(b.stderr(), "\nhint: ") {
		t.Errorf("exit code %d, or no hint", code)
	}
	return b.stderr()
}

// whereMounted starts a server in a namespace in which a command has changed what
// is mounted, and wants it refused.
func whereMounted(t *testing.T, change, data string) string {
	t.Helper()
	return refusedStart(t, launchMounted(t, change, data))
}

// launchMounted starts a server in a mount namespace of its own after a command.
// data is below an empty directory that has the directory m.
func launchMounted(t *testing.T, change, data string) *backend {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts: this sentence was not produced")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "m"), 0o755); err != nil {
		t.Fatal(err)
	}
	try := exec.CommandContext(t.Context(), "/bin/sh", "-c", "mount -t tmpfs none m")
	try.Dir, try.SysProcAttr = dir, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := try.Run(); err != nil {
		t.Skipf("nothing can be mounted here: this sentence was not produced: %v", err)
	}
	return launchAs(t, func(cmd *exec.Cmd) {
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", change + ` && exec "$0" "$@"`, self}, cmd.Args[1:]...)
		cmd.Dir = dir
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}, nil, filepath.Join(dir, data))
}

// asOrdinary starts a server as a user without rights, on a directory of an owner.
func asOrdinary(t *testing.T, owner int, mode os.FileMode) string {
	t.Helper()
	data := t.TempDir()
	if os.Geteuid() != 0 && owner != ordinary {
		t.Skip("only root changes the owner of a directory: this sentence was not produced")
	}
	if err := os.Chmod(data, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(data, 0o700) })
	return refusedStart(t, launchAs(t, func(cmd *exec.Cmd) {
		if os.Geteuid() != 0 {
			return
		}
		if err := os.Chown(data, owner, owner); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinary, Gid: ordinary, NoSetGroups: false}
	}, nil, data))
}

// lostLines makes a server log more than its buffer holds while the log is not read.
func lostLines(t *testing.T) string {
	t.Helper()
	b := startBackend(t, t.TempDir(), limits...)
	b.mu.Lock()
	read := sync.OnceFunc(b.mu.Unlock)
	defer read()
	var web sync.WaitGroup
	for range 8 {
		web.Go(func() {
			for range 2000 { // each is a line of some 100 bytes; 1 MiB finds room
				res, err := http.Get(b.url + "/nowhere")
				if err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}
	web.Wait()
	read()
	b.stop(20 * time.Second)
	return b.stderr()
}

// stopWithPushes stops a server that has no time to prove the pushed events.
func stopWithPushes(t *testing.T) string {
	t.Helper()
	b := startBackend(t, t.TempDir(), "--shutdown-grace", "0s")
	b.queue(t, 8)
	b.stop(20 * time.Second)
	return b.stderr()
}

// stopWithHalfBody stops a server that waits for the rest of a body.
func stopWithHalfBody(t *testing.T) string {
	t.Helper()
	b := startBackend(t, t.TempDir(), "--shutdown-grace", "0s", "--body-timeout", "1m")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the body is not asked for: %q, %v", line, err)
	}
	b.stop(20 * time.Second)
	return b.stderr()
}

// stopWithout stops a server of which one child does not answer.
func stopWithout(t *testing.T, kind string) string {
	t.Helper()
	b := startBackend(t, t.TempDir(), limits...)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.signal(b.child(kind, 0), syscall.SIGSTOP)
	b.signal(b.cmd.Process.Pid, syscall.SIGTERM)
	<-b.done
	if code := exitCode(b.err); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	return b.stderr()
}

// afterDeath kills a child and waits for what follows.
func afterDeath(t *testing.T, kind, follows string, args ...string) string {
	t.Helper()
	b := startBackend(t, t.TempDir(), args...)
	b.signal(b.child(kind, 0), syscall.SIGKILL)
	eventually(t, 30*time.Second, "nothing follows", func() bool { return strings.Contains(b.stderr(), follows) })
	return b.stderr()
}

func launcherDies(t *testing.T) string {
	t.Helper()
	b := startBackend(t, t.TempDir())
	pid := b.launcher()
	if pid == 0 {
		t.Skip("this build has no launcher: this sentence was not produced")
	}
	b.signal(pid, syscall.SIGKILL)
	<-b.done
	if code := exitCode(b.err); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	return b.stderr()
}
