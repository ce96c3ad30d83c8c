package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/sbom"
	"github.com/terradourada/td/protocol"
)

// version is the release; a build from a checkout adds its commit.
const version = "0.1.0-dev"

type versionInfo struct {
	Version  string          `json:"version"`
	Commit   string          `json:"commit,omitempty"`
	Modified bool            `json:"modified,omitempty"`
	Protocol int             `json:"protocol"`
	SRS      protocol.Digest `json:"srs"`
	Go       string          `json:"go"`
}

func currentVersion() versionInfo {
	v := versionInfo{Version: version, Protocol: protocol.Version, SRS: claim.SRSDigest(), Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

func versionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the protocol and the reference string it verifies under",
		Example: "  td version\n  td version -o json\n  td version --sbom >td.cdx.json",
		Args:    noArgs,
	}
	output := outputFlag(cmd)
	materials := cmd.Flags().Bool("sbom", false, "print the bill of materials of this program instead: Go and every module in it, as CycloneDX 1.6 in JSON")
	cmd.MarkFlagsMutuallyExclusive("output", "sbom")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *materials {
			return a.printMaterials()
		}
		if output.value == "json" {
			return a.printJSON(currentVersion())
		}
		return a.printVersion()
	}
	return cmd
}

// printVersion prints what "td version" and "td --version" say.
func (a *app) printVersion() error {
	v := currentVersion()
	_, err := fmt.Fprintf(a.stdout, "td %s\nprotocol TD/%d\nsrs %s\n%s\n", v.Version, v.Protocol, v.SRS, v.Go)
	return err
}

// printMaterials prints the bill of materials of this program.
func (a *app) printMaterials() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program has no build information")
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.Open(path)
	if err != nil {
		return err
	}
	defer program.Close()
	return sbom.Write(a.stdout, info, program)
}
