package prover_test

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/prover"
)

// TestListenAtOnce: of several that find a dead socket at the same moment one replaces it,
// and the others, which are refused, leave it in place.
func TestListenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	for range 50 {
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		_ = dead.Close()
		var all [4]net.Listener
		var errs [len(all)]error
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() { all[i], errs[i] = prover.Listen(t.Context(), path) })
		}
		wg.Wait()
		won := 0
		for i, l := range all {
			if l == nil {
				if fault.Of(errs[i]).Exit != fault.Config {
					t.Error(errs[i])
				}
				continue
			}
			won++
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			_ = l.Close()
		}
		if won != 1 {
			t.Fatalf("%d have opened the socket", won)
		}
	}
}
