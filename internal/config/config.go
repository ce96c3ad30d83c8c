// Package config reads the configuration of the server, checks it, and documents each
// setting.
//
// Nothing has to be configured. A flag counts more than an environment
// variable, that more than the file, that more than the default. The file is
// TOML, flat (no tables) and strict: an unknown key, a key given twice or a
// value of the wrong kind is an error with its line. It is the one named by
// the flag --config or by TD_CONFIG, else config.toml in the data directory if
// there is one. Every key k has a flag --k (with hyphens) and an environment
// variable TD_K (in capitals); an empty variable counts as not set.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradourada/td/internal/fault"
)

// refuse returns a fault in the configuration. The place is "flag --listen",
// "environment TD_LISTEN", "PATH:3:1" or "".
func refuse(where, message, hint string) error {
	if where != "" {
		message = where + ": " + message
	}
	return fault.New(fault.Config, message, hint)
}

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// Load puts the configuration together. environ has the form of os.Environ;
// flags holds the flags that the user has set, by name without hyphens in
// front ("max-sessions"), among them "config" for the file; a list is separated
// by commas. Every error is a [*fault.Fault].
func Load(environ []string, flags map[string]string) (*Config, error) {
	c := &Config{sources: make(map[string]string)}
	env := variables(environ)
	if err := c.defaults(); err != nil {
		return nil, err
	}
	if err := c.readFile(env, flags); err != nil {
		return nil, err
	}
	for _, f := range c.fields() {
		if v := env[f.env()]; v != "" {
			if err := c.setText(f, v, "environment "+f.env()); err != nil {
				return nil, err
			}
		}
		if v, ok := flags[f.flag()]; ok {
			if err := c.setText(f, v, "flag --"+f.flag()); err != nil {
				return nil, err
			}
		}
	}
	c.notes = misspelt(env)
	if err := c.place(env); err != nil {
		return nil, err
	}
	return c, c.check()
}

func variables(environ []string) map[string]string {
	env := make(map[string]string)
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	return env
}

func (c *Config) defaults() error {
	for _, f := range c.fields() {
		if v := f.tag.Get("default"); v != "" {
			if err := c.setText(f, v, "default"); err != nil {
				return err
			}
		}
		c.sources[f.key] = "default"
	}
	return nil
}

// setText sets a value that is given as text.
func (c *Config) setText(f field, text, source string) error {
	if err := f.parse(text); err != nil {
		return refuse(source, err.Error(), fault.DidYouMean(text, f.oneOf(), ""))
	}
	c.sources[f.key] = source
	return nil
}

// readFile finds the file and sets its values. A file that was named must exist. A file
// in the data directory cannot name another data directory.
func (c *Config) readFile(env, flags map[string]string) error {
	path, named := cmp.Or(flags["config"], env["TD_CONFIG"]), true
	if path == "" {
		dir := cmp.Or(flags["data"], env["TD_DATA"], stateDir(env))
		if dir == "" {
			return nil
		}
		path, named = filepath.Join(dir, "config.toml"), false
	}
	b, err := readBounded(path)
	if !named && (errors.Is(err, fs.ErrNotExist) || !canBeSeen(path)) {
		return nil // preflight reports what is wrong with the directory
	}
	if err != nil {
		return refuse(path, "the configuration file cannot be read: "+reason(err), "")
	}
	c.file = path
	if err := c.takeFile(path, b); err != nil {
		return err
	}
	if !named && c.Data != "" {
		return refuse(strings.TrimPrefix(c.sources["data"], "file "), "the file in a data directory cannot name the data directory", "set data in a file that --config names")
	}
	return nil
}

// canBeSeen reports whether it can be determined if a file exists.
func canBeSeen(path string) bool {
	_, err := os.Lstat(path)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("it is not a file of at most %d bytes", maxFile)
	}
	return os.ReadFile(filepath.Clean(path))
}

// reason returns the text of an error without the names of operations.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}

// stateDir returns the default data directory, "" without a home.
func stateDir(env map[string]string) string {
	if d := env["XDG_STATE_HOME"]; filepath.IsAbs(d) {
		return filepath.Join(d, "terradourada")
	}
	if d := env["HOME"]; d != "" {
		return filepath.Join(d, ".local", "state", "terradourada")
	}
	return ""
}

// place fills in the paths that depend on others.
func (c *Config) place(env map[string]string) error {
	if c.Data = cmp.Or(c.Data, stateDir(env)); c.Data == "" {
		return refuse("", "no data directory: neither HOME nor XDG_STATE_HOME is set", "name one with --data")
	}
	c.Socket = cmp.Or(c.Socket, filepath.Join(c.Data, "admin.sock"))
	return nil
}

// check checks settings that depend on each other.
func (c *Config) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return c.fault("listen", "the address is not host:port", "for example 127.0.0.1:8080")
	}
	if !isLoopback(host) && c.TLSCert == "" && !c.AllowInsecureListen {
		return c.fault("listen", "the address can be reached by others, who could read the API keys of clients without TLS",
			"name tls_cert and tls_key, or listen on 127.0.0.1, or set allow_insecure_listen if something in front of the server provides TLS")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return c.fault("tls_cert", "tls_cert and tls_key belong together", "name both files")
	}
	if err := c.checkAdmin(); err != nil {
		return err
	}
	if c.MinGrade == "D" && !c.AllowDevelopmentGrade {
		return c.fault("min_grade", "grade D protects no key", "set allow_development_grade too, on a machine where nothing matters")
	}
	if host, _, err := net.SplitHostPort(c.Ops); c.Ops != Off {
		if err != nil {
			return c.fault("ops", "the address is neither host:port nor off", "for example 127.0.0.1:9480")
		}
		if !isLoopback(host) && !c.AllowInsecureListen {
			return c.fault("ops", "the address can be reached by others, and the ops listener authenticates no one",
				"listen on 127.0.0.1, or set allow_insecure_listen if something else protects the network")
		}
		if !isLoopback(host) && c.OpsPprof {
			return c.fault("ops_pprof", "the ops listener can be reached by others, and profiles are for this machine alone", "listen on 127.0.0.1")
		}
	}
	if err := c.checkLimits(); err != nil {
		return err
	}
	if _, _, ok := parseWindow(c.RotationWindow); !ok {
		return c.fault("rotation_window", "the value is not a time of the day", "for example 02:00-04:00, in UTC")
	}
	for _, f := range c.fields() {
		if strings.Contains(fmt.Sprint(f.value.Interface()), "-----BEGIN") {
			return c.fault(f.key, "the value holds a key or certificate itself", "name the file it is in")
		}
	}
	return nil
}

// isLoopback reports whether a host of an address is this machine alone.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkAdmin checks what the admin listener needs.
func (c *Config) checkAdmin() error {
	if c.AdminListen == "" {
		if c.AdminClientCA != "" || c.AdminRoles != "" {
			return c.fault("admin_listen", "admin_client_ca and admin_roles are for a listener that is not configured", "name its address with admin_listen")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(c.AdminListen); err != nil {
		return c.fault("admin_listen", "the address is not host:port", "for example 127.0.0.1:8443")
	}
	if c.TLSCert == "" || c.AdminClientCA == "" || c.AdminRoles == "" {
		return c.fault("admin_listen", "the listener needs tls_cert, tls_key, admin_client_ca and admin_roles", "name the files, or use the admin socket alone")
	}
	return nil
}

// fault returns a fault about a setting. It names settings as flags if a flag set the one
// that is wrong, otherwise by their keys.
func (c *Config) fault(key, message, hint string) error {
	where := strings.TrimPrefix(c.sources[key], "file ")
	if where == "default" {
		where = ""
	}
	message = key + ": " + message
	if strings.HasPrefix(where, "flag ") {
		all := c.fields()
		slices.SortFunc(all, func(a, b field) int { return len(b.key) - len(a.key) }) // one may begin with another
		for _, f := range all {
			if strings.Contains(f.key, "_") { // other keys are also plain words
				message, hint = strings.ReplaceAll(message, f.key, "--"+f.flag()), strings.ReplaceAll(hint, f.key, "--"+f.flag())
			}
		}
	}
	return refuse(where, message, hint)
}

// Apply takes over the settings of another configuration that a running server applies. It
// returns the keys whose values differ: those that were taken over, and those that take
// effect at the next start.
func (c *Config) Apply(now *Config) (hot, cold []string) {
	later := now.fields()
	for i, f := range c.fields() {
		switch {
		case f.toml() == later[i].toml():
		case f.tag.Get("hot") != "":
			f.value.Set(later[i].value)
			c.sources[f.key] = now.sources[f.key]
			hot = append(hot, f.key)
		default:
			cold = append(cold, f.key)
		}
	}
	return hot, cold
}

// misspelt returns notes about variables that look like misspelt settings.
func misspelt(env map[string]string) (notes []string) {
	var names []string
	for _, f := range new(Config).fields() {
		names = append(names, f.env())
		delete(env, f.env())
	}
	for name := range env {
		if near := fault.Nearest(name, names); strings.HasPrefix(name, "TD_") && name != "TD_CONFIG" && near != "" {
			notes = append(notes, fmt.Sprintf("environment variable %s is no setting; did you mean %s?", name, near))
		}
	}
	slices.Sort(notes)
	return notes
}
