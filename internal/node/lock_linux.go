package node

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/datadir"
)

// LockOf finds in /proc/locks which process has the lock of a data directory.
// Trying the lock would keep out a server that starts at that moment.
func LockOf(dir string) (Lock, error) {
	var st unix.Stat_t
	err := unix.Stat(filepath.Join(dir, datadir.JournalFile+".lock"), &st)
	if errors.Is(err, fs.ErrNotExist) {
		return Lock{}, nil
	}
	if err != nil {
		return Lock{}, err
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return Lock{}, err
	}
	defer f.Close()
	return findLock(bufio.NewScanner(f), fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino))
}

// findLock reads lines such as "1: FLOCK ADVISORY WRITE 4711 fe:00:12345 0 EOF".
func findLock(lines *bufio.Scanner, inode string) (Lock, error) {
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != inode {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || pid < 0 { // -1: of another namespace
			pid = 0
		}
		return Lock{Held: true, PID: pid}, nil
	}
	return Lock{}, lines.Err()
}
