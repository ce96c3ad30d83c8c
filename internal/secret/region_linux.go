package secret

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// newRegion tries the levels from the best down. The guards are part of the
// mapping, its first and last page: a mapping put between reserved pages would
// lose the reservation when it failed.
func newRegion(size int, best Level) (*Region, error) {
	page := os.Getpagesize()
	inner := roundUp(size, page)
	total := inner + 2*page
	r := &Region{report: Report{Level: Plain, Limit: memlockLimit()}}
	var missing []string
	lack := func(what string, err error) {
		if err != nil {
			missing = append(missing, what+": "+err.Error())
		}
	}
	if best >= SecretMem {
		r.report.Needed = uint64(total) // the guards count too
		m, err := mapSecret(total, page)
		lack("memfd_secret", err)
		if err == nil {
			r.mapping, r.report.Level = m, SecretMem
		}
	}
	if r.mapping == nil {
		m, err := unix.Mmap(-1, 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err != nil {
			return nil, fmt.Errorf("secret: mmap: %w", err)
		}
		r.mapping, r.report.Needed = m, uint64(inner)
	}
	r.inner = r.mapping[page : page+inner]
	if err := guard(r.mapping, page); err != nil {
		return nil, errors.Join(err, unmap(r.mapping))
	}
	if r.report.Level == SecretMem {
		lack("madvise dontfork", unix.Madvise(r.mapping, unix.MADV_DONTFORK))
	} else {
		lack("madvise dontdump", unix.Madvise(r.inner, unix.MADV_DONTDUMP))
		lack("madvise wipeonfork", unix.Madvise(r.inner, unix.MADV_WIPEONFORK))
	}
	if r.report.Level != SecretMem && best >= Locked {
		err := unix.Mlock(r.inner)
		lack("mlock", err)
		if err == nil {
			r.report.Level = Locked
		}
	}
	r.report.Missing = strings.Join(missing, "; ")
	return r, nil
}

// mapSecret maps memory of memfd_secret and touches it, since the kernel finds
// out only then whether it has the pages.
func mapSecret(total, page int) (m []byte, err error) {
	fd, err := unix.MemfdSecret(unix.O_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }() // the mapping keeps the memory
	if err := unix.Ftruncate(fd, int64(total)); err != nil {
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	m, err = unix.Mmap(fd, 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap: %w", err)
	}
	if err := touch(m[page:len(m)-page], page); err != nil {
		return nil, errors.Join(err, unmap(m))
	}
	return m, nil
}

// touch writes to every page; a page that is not to be had is an error.
func touch(m []byte, page int) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errors.New("no memory behind the mapping")
		}
	}()
	for i := 0; i < len(m); i += page {
		m[i] = 0
	}
	return nil
}

// guard closes the first and the last page of a mapping.
func guard(m []byte, page int) error {
	for _, g := range [][]byte{m[:page], m[len(m)-page:]} {
		if err := unix.Mprotect(g, unix.PROT_NONE); err != nil {
			return fmt.Errorf("secret: guard page: %w", err)
		}
	}
	return nil
}

func unmap(m []byte) error { return unix.Munmap(m) }

func memlockLimit() uint64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return math.MaxUint64
	}
	return l.Cur // RLIM_INFINITY is the same number
}
