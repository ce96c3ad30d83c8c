package client

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// listeners returns the listening sockets that can take a connection to an
// address, inode to owner: those on its port, on the address itself or on all
// addresses.
func listeners(at netip.AddrPort) (map[uint64]uint32, error) {
	return listenersIn(os.DirFS("/proc"), at)
}

// overflowUID stands for every user that a user namespace does not map.
const overflowUID = 65534

func listenersIn(proc fs.FS, at netip.AddrPort) (map[uint64]uint32, error) {
	found := map[uint64]uint32{}
	if err := readListeners(proc, "net/tcp", at, found); err != nil {
		return nil, err
	}
	err := readListeners(proc, "net/tcp6", at, found)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6 lacks it
		return nil, err
	}
	for _, uid := range found {
		if uid == overflowUID && !mapsEveryUser(proc) {
			return nil, fmt.Errorf("user %d stands for several users here", uid)
		}
	}
	return found, nil
}

// mapsEveryUser reports whether user ids are those of the whole system.
func mapsEveryUser(proc fs.FS) bool {
	b, err := fs.ReadFile(proc, "self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// readListeners reads one table of the kernel, proc_pid_net(5): after a line of
// titles a line for each socket with its number, local address, remote address,
// state, queues, timer, retransmissions, owner, timeout and inode. Sockets that listen come
// first; the others, which may be many thousands, are not read.
func readListeners(proc fs.FS, table string, at netip.AddrPort, found map[uint64]uint32) error {
	r, err := proc.Open(table)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	lines := bufio.NewScanner(r)
	lines.Scan()
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			return errors.New("a table of sockets has an unknown form")
		}
		if f[3] != "0A" { // LISTEN
			break
		}
		local, err := parseSocketAddress(f[1])
		uid, uidErr := strconv.ParseUint(f[7], 10, 32)
		inode, inodeErr := strconv.ParseUint(f[9], 10, 64)
		if err = errors.Join(err, uidErr, inodeErr); err != nil {
			return errors.New("a table of sockets has an unknown form")
		}
		if takes(local, at) {
			found[inode] = uint32(uid)
		}
	}
	return lines.Err()
}

// takes reports whether a socket that listens on local can take a connection to
// an address. One on all IPv6 addresses may take those of IPv4 too.
func takes(local, at netip.AddrPort) bool {
	ip := local.Addr()
	return local.Port() == at.Port() && (ip == at.Addr() || ip.IsUnspecified() && (ip.Is6() || at.Addr().Is4()))
}

// parseSocketAddress reads "0100007F:1F90": words of 32 bits in the byte order
// of the machine, then the port.
func parseSocketAddress(s string) (netip.AddrPort, error) {
	address, portText, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, errors.New("malformed address")
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	port, err := strconv.ParseUint(portText, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, errors.New("malformed address")
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}
