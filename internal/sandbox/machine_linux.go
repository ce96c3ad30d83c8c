//go:build linux

package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine asks the kernel itself what it offers to a process like this one:
// secret and locked memory, Landlock, a clock that is set by others. It changes
// nothing that stays.
func Machine() []Probe {
	return []Probe{secretMemory(), lockable(), landlockOffer(), clock(), Build()}
}

// enough is the locked memory that a keyholder never exceeds, in bytes, and
// scarce what it needs at least.
const (
	enough = 1 << 20
	scarce = 160 << 10
)

// lockable compares the limit of locked memory with what keys need.
func lockable() Probe {
	p := Probe{ID: "memlock", Source: "getrlimit(RLIMIT_MEMLOCK)", Remedy: "raise it to 1 MiB: ulimit -l 1024, LimitMEMLOCK=1M", Effect: "C if the keys do not fit"}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		p.Value = err.Error()
		return p
	}
	p.Value = strconv.FormatUint(l.Cur>>10, 10) + " KiB"
	if l.Cur == math.MaxUint64 {
		p.Value = "no limit"
	}
	switch {
	case l.Cur >= enough:
		p.State = StateOK
	case l.Cur >= scarce:
		p.State = StateWeak
	default:
		p.State = StateMissing
	}
	return settled(p)
}

// landlockOffer is the version of the kernel's Landlock.
func landlockOffer() Probe {
	v, err := landlockVersion()
	switch {
	case err != nil:
		return Measure(Landlock, StateMissing, reason(err))
	case v < oldest:
		return Measure(Landlock, StateWeak, "version "+strconv.Itoa(v)+", older than "+strconv.Itoa(oldest))
	default:
		return Measure(Landlock, StateOK, "version "+strconv.Itoa(v))
	}
}

// secretMemory makes a page of secret memory and reads it the way root would,
// which has to fail.
func secretMemory() Probe {
	p := Probe{ID: "memfd_secret", Source: "memfd_secret, /proc/self/mem", Remedy: "use kernel 5.14 or later, boot with secretmem.enable=1, and let the container profile allow memfd_secret", Effect: "at most B"}
	err := trySecretMemory()
	switch {
	case err == nil:
		p.State, p.Value = StateOK, "a read through /proc/self/mem fails"
	case errors.Is(err, errReadable):
		p.State, p.Value = StateWeak, err.Error()
	case errors.Is(err, errUnread):
		p.Value = err.Error()
	default:
		p.State, p.Value = StateMissing, err.Error()
	}
	return settled(p)
}

var (
	errReadable = errors.New("a read through /proc/self/mem succeeds")
	errUnread   = errors.New("/proc/self does not show it")
)

func trySecretMemory() error {
	fd, err := unix.MemfdSecret(unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	size := os.Getpagesize()
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return err
	}
	page, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(page) }()
	address, err := mapped("/secretmem")
	if err != nil {
		return err
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return errUnread
	}
	defer memory.Close()
	if _, err := memory.ReadAt(make([]byte, 1), address); err == nil {
		return errReadable
	} else if !errors.Is(err, unix.EIO) {
		return fmt.Errorf("%w: %w", errUnread, err)
	}
	return nil
}

// mapped finds the address of a mapping of this process by its file.
func mapped(name string) (int64, error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, errUnread
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		first, _, _ := strings.Cut(lines.Text(), "-")
		address, err := strconv.ParseInt(first, 16, 64)
		if strings.Contains(lines.Text(), name) && err == nil {
			return address, nil
		}
	}
	return 0, errUnread
}

// clock reports whether a service keeps the clock right.
func clock() Probe {
	p := Probe{ID: "clock", Source: "adjtimex", Remedy: "run chrony or systemd-timesyncd", Effect: "none"}
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		p.Value = err.Error()
		return p
	}
	p.State, p.Value = okIf(t.Status&unix.STA_UNSYNC == 0), "synchronised"
	if p.State != StateOK {
		p.Value = "not synchronised"
	}
	return settled(p)
}
