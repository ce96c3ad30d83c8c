package sbom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/sbom"
)

func program() *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.8-X:runtimesecret",
		Main:      debug.Module{Path: "example.org/td", Version: "v0.0.0-20261130000828-3c9c5b42af3d+dirty"},
		Deps: []*debug.Module{
			{Path: "github.com/spf13/cobra", Version: "v1.10.2", Sum: "h1:aaaa="},
			{Path: "example.org/unknown", Version: "v1.0.0", Sum: "h1:bbbb="},
			{Path: "example.org/old", Version: "v1.0.0", Replace: &debug.Module{Path: "golang.org/x/mod", Version: "v0.41.0", Sum: "h1:cccc="}},
		},
		Settings: []debug.BuildSetting{{Key: "-trimpath", Value: "true"}, {Key: "GOARCH", Value: "amd64"}},
	}
}

// TestWrite compares a whole bill with one written by hand.
func TestWrite(t *testing.T) {
	const want = `{
  "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
  "bomFormat": "CycloneDX",
  "specVersion": "1.6",
  "version": 1,
  "metadata": {
    "component": {
      "type": "application",
      "bom-ref": "pkg:golang/example.org/td@v0.0.0-20261130000828-3c9c5b42af3d%2Bdirty",
      "name": "example.org/td",
      "version": "v0.0.0-20261130000828-3c9c5b42af3d+dirty",
      "hashes": [
        {
          "alg": "SHA-256",
          "content": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        }
      ],
      "licenses": [
        {
          "license": {
            "id": "Apache-2.0"
          }
        }
      ],
      "purl": "pkg:golang/example.org/td@v0.0.0-20261130000828-3c9c5b42af3d%2Bdirty",
      "properties": [
        {
          "name": "go:build:-trimpath",
          "value": "true"
        },
        {
          "name": "go:build:GOARCH",
          "value": "amd64"
        }
      ]
    }
  },
  "components": [
    {
      "type": "library",
      "bom-ref": "pkg:golang/stdlib@1.26.8",
      "name": "stdlib",
      "version": "1.26.8",
      "licenses": [
        {
          "license": {
            "id": "BSD-3-Clause"
          }
        }
      ],
      "purl": "pkg:golang/stdlib@1.26.8",
      "properties": [
        {
          "name": "go:version",
          "value": "go1.26.8-X:runtimesecret"
        }
      ]
    },
    {
      "type": "library",
      "bom-ref": "pkg:golang/github.com/spf13/cobra@v1.10.2",
      "name": "github.com/spf13/cobra",
      "version": "v1.10.2",
      "licenses": [
        {
          "license": {
            "id": "Apache-2.0"
          }
        }
      ],
      "purl": "pkg:golang/github.com/spf13/cobra@v1.10.2",
      "properties": [
        {
          "name": "go:sum",
          "value": "h1:aaaa="
        }
      ]
    },
    {
      "type": "library",
      "bom-ref": "pkg:golang/example.org/unknown@v1.0.0",
      "name": "example.org/unknown",
      "version": "v1.0.0",
      "purl": "pkg:golang/example.org/unknown@v1.0.0",
      "properties": [
        {
          "name": "go:sum",
          "value": "h1:bbbb="
        }
      ]
    },
    {
      "type": "library",
      "bom-ref": "pkg:golang/golang.org/x/mod@v0.41.0",
      "name": "golang.org/x/mod",
      "version": "v0.41.0",
      "licenses": [
        {
          "license": {
            "id": "BSD-3-Clause"
          }
        }
      ],
      "purl": "pkg:golang/golang.org/x/mod@v0.41.0",
      "properties": [
        {
          "name": "go:sum",
          "value": "h1:cccc="
        }
      ]
    }
  ]
}
`
	var out bytes.Buffer
	if err := sbom.Write(&out, program(), strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestVersions: the version of the standard library is the number alone, and a program
// without a version has none in its package URL.
func TestVersions(t *testing.T) {
	for version, want := range map[string]string{
		"go1.26.8": "1.26.8", "go1.27rc1 X:runtimesecret": "1.27rc1", "go1.26.8-custom": "1.26.8",
	} {
		info := program()
		info.GoVersion, info.Main.Version = version, "(devel)"
		var out bytes.Buffer
		if err := sbom.Write(&out, info, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		var bill struct {
			Metadata   struct{ Component struct{ PURL string } }
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal(out.Bytes(), &bill); err != nil {
			t.Fatal(err)
		}
		if got := bill.Components[0]; got.Name != "stdlib" || got.Version != want {
			t.Errorf("%s: got %+v, want stdlib %s", version, got, want)
		}
		if got := bill.Metadata.Component.PURL; got != "pkg:golang/example.org/td" {
			t.Errorf("(devel): got %s", got)
		}
	}
}

// TestUnreadable: nothing is written if the program cannot be read.
func TestUnreadable(t *testing.T) {
	broken := errors.New("broken")
	var out bytes.Buffer
	if err := sbom.Write(&out, program(), iotest.ErrReader(broken)); !errors.Is(err, broken) || out.Len() > 0 {
		t.Errorf("got %v and %d bytes", err, out.Len())
	}
}
