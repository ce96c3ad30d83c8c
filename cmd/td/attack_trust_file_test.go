package main_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// flip changes one bit of a field of the last record of a trust file: SIZE ROOT
// KEY SIGNATURE SECONDS HOW SERVER.
func (a *attack) flip(file string, field int) {
	a.Helper()
	a.change(file, func(b []byte) []byte {
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		words := strings.Split(lines[len(lines)-1], " ")
		word := []byte(words[field])
		word[len(word)/2] = flipped(word[len(word)/2])
		words[field] = string(word)
		lines[len(lines)-1] = strings.Join(words, " ")
		return []byte(strings.Join(lines, "\n") + "\n")
	})
}

// flipped is a character one bit away that is still one of base64 or a number.
func flipped(c byte) byte {
	for bit := byte(1); bit < 128; bit <<= 1 {
		d := c ^ bit
		if d >= '0' && d <= '9' || c > '9' && (d >= 'A' && d <= 'Z' || d >= 'a' && d <= 'z') {
			return d
		}
	}
	return c ^ 1
}

func (a *attack) change(file string, change func([]byte) []byte) {
	a.Helper()
	b, err := os.ReadFile(file)
	a.must(err)
	a.must(os.WriteFile(file, change(b), 0o600))
}

// line is the first n lines of a file.
func line(b []byte, n int) []byte { return bytes.Join(bytes.SplitAfter(b, []byte("\n"))[:n], nil) }

// attackTrustFile damages the trust store. Damage may take trust away; it may
// never make the forgery believed, nor the log accused, nor be read as an empty
// store that the next server may fill.
func (s *siege) attackTrustFile() {
	for _, tt := range []struct {
		name   string
		damage func(a *attack, file string)
		right  []string // about the genuine receipt
	}{
		{"empty", func(a *attack, f string) { a.change(f, func([]byte) []byte { return nil }) }, []string{unavailable}},
		{"zero bytes", func(a *attack, f string) { a.change(f, func(b []byte) []byte { return make([]byte, len(b)) }) }, []string{unavailable}},
		{"a zero byte in a record", func(a *attack, f string) { a.change(f, func(b []byte) []byte { b[len(b)/2] = 0; return b }) }, []string{unavailable}},
		{"zero bytes at the end", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte { return append(b, make([]byte, 512)...) })
		}, []string{unavailable, "valid"}},
		{"torn header", func(a *attack, f string) { a.change(f, func(b []byte) []byte { return b[:30] }) }, []string{unavailable}},
		{"no header", func(a *attack, f string) { a.change(f, func(b []byte) []byte { return b[len(line(b, 1)):] }) }, []string{unavailable}},
		{"header of another log", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte {
				return bytes.Replace(b, []byte("terradourada/"), []byte("terradouradb/"), 1)
			})
		}, []string{unavailable}},
		{"header of version 1", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte { return bytes.Replace(b, []byte("trust/2"), []byte("trust/1"), 1) })
		}, []string{unavailable}},
		{"header of version 3", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte { return bytes.Replace(b, []byte("trust/2"), []byte("trust/3"), 1) })
		}, []string{unavailable}},
		{"header only", func(a *attack, f string) { a.change(f, func(b []byte) []byte { return line(b, 1) }) }, []string{unavailable, unvouched}},
		{"torn last record", func(a *attack, f string) { a.change(f, func(b []byte) []byte { return b[:len(b)-20] }) }, []string{unavailable, unvouched}},
		{"junk line", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte { return append(line(b, 1), append([]byte("junk\n"), b[len(line(b, 1)):]...)...) })
		}, []string{unavailable}},
		{"empty line", func(a *attack, f string) { a.change(f, func(b []byte) []byte { return append(b, '\n') }) }, []string{unavailable}},
		{"line ends of another system", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) })
		}, []string{unavailable}},
		{"very long line", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte { return append(b, bytes.Repeat([]byte("A"), 1<<20)...) })
		}, []string{unavailable, "valid"}},
		{"flipped bit in the size of the newest record", func(a *attack, f string) { a.flip(f, 0) }, []string{unavailable}},
		{"flipped bit in its root", func(a *attack, f string) { a.flip(f, 1) }, []string{unavailable}},
		{"flipped bit in its key", func(a *attack, f string) { a.flip(f, 2) }, []string{unavailable}},
		{"flipped bit in its signature", func(a *attack, f string) { a.flip(f, 3) }, []string{unavailable}},
		{"a record with the root of the record before", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte {
				lines := strings.Split(string(b), "\n")
				last := len(lines) - 2
				one, two := strings.Fields(lines[last-1]), strings.Fields(lines[last])
				two[1] = one[1]
				lines[last] = strings.Join(two, " ")
				return []byte(strings.Join(lines, "\n"))
			})
		}, []string{unavailable}},
		{"flipped bits in the roots of all records before the newest", func(a *attack, f string) {
			a.change(f, func(b []byte) []byte {
				lines := strings.Split(string(b), "\n")
				for i := range lines[1 : len(lines)-2] {
					words := strings.Fields(lines[1+i])
					words[1] = string(flipped(words[1][0])) + words[1][1:]
					lines[1+i] = strings.Join(words, " ")
				}
				return []byte(strings.Join(lines, "\n"))
			})
		}, []string{unavailable, "valid"}},
		{"a directory in its place", func(a *attack, f string) {
			a.must(os.Remove(f))
			a.must(os.Mkdir(f, 0o700))
		}, []string{unavailable}},
	} {
		s.attack("damaged trust store: "+tt.name, func(a *attack) {
			c, user := s.scene, a.user()
			tt.damage(a, user.trustFile())
			a.want(user.verify(c.receipt), tt.right...)
			a.want(user.verify(c.early), unavailable, unvouched, "valid")
			a.want(user.verify(c.receipt, "--log", c.mirror), append(tt.right, "valid")...)
			a.want(user.verify(c.forged, "--log", c.mirror), unvouched, unavailable)
			a.want(user.audit("--dir", c.mirror), unvouched, unavailable)
			if tt.right[0] == unavailable && len(tt.right) == 1 {
				before := user.files()
				a.want(user.trustAdd("--from-operator", c.note, "--log", c.mirror), unavailable)
				if user.files() != before {
					a.Errorf("a damaged file was written to:\n%s\nbefore:\n%s", user.files(), before)
				}
			}
		})
	}
}

// attackTrustWriters has servers and commands write beside damage and beside
// one another.
func (s *siege) attackTrustWriters() {
	s.attack("damaged trust store: header only, and a server that shows the log extended", func(a *attack) {
		user, address := a.secureUser(), freeAddress(a.T)
		forged := a.extendSecure(address)
		a.change(user.trustFile(), func(b []byte) []byte { return line(b, 1) })
		a.want(first(user.submit(secure(address))), unavailable, unvouched)
		a.want(user.verify(forged, "--log", secure(address)), unavailable, unvouched)
	})
	s.attack("damaged trust store: many writers at once", func(a *attack) {
		c, user := s.scene, a.user()
		s.real()
		var all []*running
		args := []string{"trust", "add", "--trust", user.store, "--server", c.url()}
		for range 4 {
			all = append(all, user.start(args...))
			a.want(first(user.submit(c.url())), accepted)
		}
		for _, r := range all {
			a.want(user.wait(r, 2, args), accepted)
		}
		a.want(user.verify(c.receipt), "valid")
		b, err := os.ReadFile(user.trustFile())
		a.must(err)
		seen := map[string]bool{}
		for record := range strings.Lines(string(b)) {
			size, _, _ := strings.Cut(record, " ")
			if seen[size] {
				a.Errorf("size %s is recorded twice:\n%s", size, b)
			}
			seen[size] = true
		}
		if entries, err := os.ReadDir(user.store); err != nil || len(entries) > 2 {
			a.Error(fmt.Sprint("files are left over: ", entries, err))
		}
	})
}
