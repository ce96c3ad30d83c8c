// Package sbom writes a bill of materials of this program in CycloneDX 1.6, as JSON: Go's
// standard library and the modules that are linked into the program, with their licences and the
// hashes that the go command verified.
//
// All of it comes from the build information in the program, so that it describes the
// program and not a source tree. It has neither a time nor a serial number: the same program has
// the same bill, byte for byte.
//
// It lists modules. It does not say which module needs which, and it does not list what
// a module contains beyond Go modules, such as the C sources that modernc.org/sqlite is
// translated from.
package sbom

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// licences has a line "module licence" for each module of go.mod, as in
// docs/security/licences.md. TestLicences of the root writes and compares both.
//
//go:embed licences.txt
var licences string

// The licences of this project and of Go.
const (
	ownLicence = "Apache-2.0"
	goLicence  = "BSD-3-Clause"
)

type bill struct {
	Schema      string      `json:"$schema"`
	Format      string      `json:"bomFormat"`
	SpecVersion string      `json:"specVersion"`
	Version     int         `json:"version"`
	Metadata    metadata    `json:"metadata"`
	Components  []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licences   []choice   `json:"licenses,omitempty"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type choice struct {
	Licence licence `json:"license"`
}

type licence struct {
	ID string `json:"id"` // of SPDX
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Write writes the bill of materials of a program: info is its build information, and
// program its file, whose SHA-256 the bill names.
func Write(w io.Writer, info *debug.BuildInfo, program io.Reader) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, program); err != nil {
		return fmt.Errorf("sbom: reading the program: %w", err)
	}
	known := licencesByModule()
	main := module(&info.Main, map[string]string{info.Main.Path: ownLicence})
	main.Type = "application"
	main.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum.Sum(nil))}}
	for _, s := range info.Settings {
		main.Properties = append(main.Properties, property{"go:build:" + s.Key, s.Value})
	}
	b := bill{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata:   metadata{main},
		Components: []component{standardLibrary(info.GoVersion)},
	}
	for _, m := range info.Deps {
		b.Components = append(b.Components, module(m, known))
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(b); err != nil {
		return fmt.Errorf("sbom: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// standardLibrary returns the component for what Go itself adds to the program. Scanners of
// vulnerabilities know it as "stdlib", with the bare number of the version. Go's own name of
// it, such as "go1.26.8-X:runtimesecret", has more.
func standardLibrary(version string) component {
	number := strings.TrimPrefix(version, "go")
	if end := strings.IndexAny(number, " -"); end >= 0 {
		number = number[:end]
	}
	c := newComponent("stdlib", number, goLicence)
	c.Properties = []property{{"go:version", version}}
	return c
}

// module returns the component for a module, or for the one that replaces it.
func module(m *debug.Module, known map[string]string) component {
	if m.Replace != nil {
		m = m.Replace
	}
	c := newComponent(m.Path, m.Version, known[m.Path])
	if m.Sum != "" {
		// It is over a list of the module's files and their hashes, so it is not a CycloneDX
		// hash, which is over one file.
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c
}

func newComponent(name, version, id string) component {
	purl := "pkg:golang/" + name
	if version != "" && version != "(devel)" {
		purl += "@" + strings.ReplaceAll(version, "+", "%2B")
	}
	c := component{Type: "library", Ref: purl, Name: name, Version: version, PURL: purl}
	if id != "" {
		c.Licences = []choice{{licence{id}}}
	}
	return c
}

// licencesByModule parses the list of licences.
func licencesByModule() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(licences) {
		if name, id, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[name] = id
		}
	}
	return all
}
