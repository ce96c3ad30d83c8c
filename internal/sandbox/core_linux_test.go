//go:build linux && !cgo

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// lockedCore is the program of a child that does what a core does: it listens,
// locks itself up, and then tries what it needs and what it must not have. It
// returns one line for everything that is not as it should be.
func lockedCore(data, file string, uid int) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fault(err)
	}
	running := exec.Command("/proc/self/exe", childArgument, "wait")
	_, err = running.StdinPipe() // it ends with this process
	if err == nil {
		err = running.Start()
	}
	if err != nil {
		return fault(err)
	}
	terminal, err := controlling()
	if err != nil {
		return fault(err)
	}
	probes, err := sandbox.EnterCore(sandbox.CoreConfig{Writable: []string{data, "/does/not/exist"}, UID: uid, Launcher: true, Closed: true})
	if err != nil {
		return fault(err)
	}
	for _, p := range probes {
		if p.State != sandbox.StateOK {
			fmt.Println(p.ID, p.State, p.Value)
		}
	}
	must := func(what string, err error) {
		if err != nil {
			fmt.Println("needed:", what, err)
		}
	}
	refused := func(what string, err error) {
		if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
			fmt.Println("not refused:", what, err)
		}
	}
	refused("input into the terminal", ioctl(terminal, unix.TIOCSTI))
	refused("pasting into the terminal", ioctl(terminal, unix.TIOCLINUX))
	must("the size of the terminal", ioctl(terminal, unix.TIOCGWINSZ))
	must("connections", accept(listener))
	must("files", files(data))
	must("proc", read("/proc/self/status"))
	must("time zone", optional(read("/etc/localtime")))

	if os.Getuid() != 0 {
		refused("becoming root", syscall.Setresuid(0, 0, 0))
	}
	refused("reading", read(file))
	refused("reading of other files", read("/etc/passwd"))
	refused("starting itself", exec.Command("/proc/self/exe", childArgument, "nothing").Run())
	refused("killing", onThread(running.Process.Kill))
	refused("opening a child", read(fmt.Sprintf("/proc/%d/mem", running.Process.Pid)))
	refused("writing", os.WriteFile(file, nil, 0o600))
	refused("making", os.WriteFile(filepath.Join(filepath.Dir(data), "new"), nil, 0o600))
	refused("removing", os.Remove(file))
	refused("other programs", exec.Command("/bin/sh", "-c", "exit").Run())
	refused("a program of its own", planted(data))
	_, err = net.Dial("tcp", listener.Addr().String())
	refused("dialling", err)
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // which Landlock does not hold back
	_, err = plain.Listen(context.Background(), "tcp", "127.0.0.1:0")
	refused("listening", err)
	fmt.Println("end")
	return 0
}

func optional(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, f, 1)
	return errors.Join(err, f.Close())
}

// accept takes a connection that a child of before makes; here the socket is
// enough.
func accept(l net.Listener) error {
	_, err := l.(*net.TCPListener).SyscallConn()
	return err
}

// files does to files what journal and ledger do.
func files(data string) error {
	a, b := filepath.Join(data, "a"), filepath.Join(data, "b")
	return errors.Join(
		os.MkdirAll(a, 0o700), os.MkdirAll(b, 0o700),
		os.WriteFile(a+"/x", []byte("1"), 0o600), os.Truncate(a+"/x", 0),
		os.Rename(a+"/x", b+"/x"), os.Link(b+"/x", a+"/y"), os.Remove(b+"/x"), os.RemoveAll(a),
	)
}

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// planted starts a program that it has written itself.
func planted(data string) error {
	name := filepath.Join(data, "tool")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"), 0o700); err != nil {
		return err
	}
	return exec.Command(name).Run()
}

// controlling opens a new terminal and makes it that of this process, which may
// then type into it.
func controlling() (*os.File, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		_, err = unix.Setsid()
	}
	if err != nil {
		return nil, err
	}
	return os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR, 0)
}

// ioctl makes a call that reads or writes a few bytes.
func ioctl(f *os.File, call uint) error {
	var b [64]byte
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), uintptr(call), uintptr(unsafe.Pointer(&b)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return errno
	}
	return nil
}

func TestEnterCore(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		attr *syscall.SysProcAttr
		uid  int
		skip bool
		core string // how the measure of the core ends, "" if it is ok
	}{
		"as root":          {nil, sandbox.FirstUID + 3, !root, ""},
		"as root for good": {nil, 0, !root, "core weak user 0, no capability, launcher apart"},
		"as user 1000":     {as1000(t), sandbox.FirstUID + 3, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.skip {
				t.Skip("only root can give up root")
			}
			dir := t.TempDir()
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // another user has to get there
				t.Fatal(err)
			}
			data, file := filepath.Join(dir, "data"), filepath.Join(dir, "list.json")
			if err := errors.Join(os.Mkdir(data, 0o777), os.WriteFile(file, []byte("{}"), 0o666), os.Chmod(dir, 0o777), os.Chmod(data, 0o777)); err != nil {
				t.Fatal(err)
			}
			out, err := run(t, c.attr, "/", "core", data, file, strconv.Itoa(c.uid))
			if want := strings.TrimSpace(c.core + "\nend"); err != nil || strings.TrimSpace(out) != want {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
