package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
)

// certificate is the TLS certificate of the listener. A handshake looks at its files
// at most once a second, and reads them again if one has changed. Decision 0024 says
// how the confined core reads them.
type certificate struct {
	files [2]string // certificate, key
	log   *slog.Logger
	pair  atomic.Pointer[tls.Certificate]

	failing atomic.Bool // the files have changed and do not load

	mu     sync.Mutex     // guards what follows
	looked time.Time      // when the files were last looked at
	seen   [2]fs.FileInfo // as they were last read
}

// lookEvery is the least time between two looks at the files.
const lookEvery = time.Second

// openCertificate reads the certificate; nil if none is configured.
func openCertificate(cfg *config.Config, log *slog.Logger) (*certificate, error) {
	if cfg.TLSCert == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	c := &certificate{log: log, looked: now()}
	var err error
	for i, name := range []string{cfg.TLSCert, cfg.TLSKey} {
		var aerr error
		c.files[i], aerr = filepath.Abs(name)
		err = errors.Join(err, aerr)
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("the TLS certificate does not load: %v", err), "")
	}
	return c, nil
}

// load reads the files. The former pair stays in use after an error.
func (c *certificate) load() error {
	for i, name := range c.files {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		c.seen[i] = info
	}
	pair, err := tls.LoadX509KeyPair(c.files[0], c.files[1])
	if err == nil {
		c.pair.Store(&pair)
	}
	return err
}

// changed reports whether a file is another one than was read last.
func (c *certificate) changed() bool {
	for i, name := range c.files {
		info, err := os.Stat(name)
		if err == nil && (!os.SameFile(info, c.seen[i]) || info.Size() != c.seen[i].Size() || !info.ModTime().Equal(c.seen[i].ModTime())) {
			return true
		}
	}
	return false
}

// get returns the certificate for a handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // else another handshake looks
		if at := now(); at.Sub(c.looked) >= lookEvery {
			c.looked = at
			if c.changed() {
				_ = c.reload() // it is logged
			}
		}
		c.mu.Unlock()
	}
	return c.pair.Load(), nil
}

// again reads the files at once.
func (c *certificate) again() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = now()
	return c.reload()
}

func (c *certificate) reload() error {
	err := c.load()
	c.failing.Store(err != nil)
	if err != nil {
		c.log.Warn("certificate not reloaded; the former one stays in use", "err", err)
		return err
	}
	c.log.Info("certificate reloaded", "valid_until", c.validUntil())
	return nil
}

func (c *certificate) validUntil() string {
	return c.pair.Load().Leaf.NotAfter.UTC().Format(time.RFC3339)
}

// checkAccess warns if the confined core cannot read the files any more.
func (c *certificate) checkAccess() {
	for _, name := range c.files {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			c.log.Warn("certificate cannot be read again by the confined server; a renewed one takes effect at the next start", "user", os.Getuid(), "err", err)
			return
		}
		_ = f.Close() // it was only read
	}
}

// certificateDirs are the directories that the confined core goes on reading: those of
// the files, and, as both may be links, of what they lead to.
func certificateDirs(cfg *config.Config) (dirs []string) {
	if cfg.TLSCert == "" {
		return nil
	}
	for _, name := range []string{cfg.TLSCert, cfg.TLSKey} {
		dirs = append(dirs, filepath.Dir(name))
		if real, err := filepath.EvalSymlinks(name); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	return dirs
}
