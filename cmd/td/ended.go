package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// ended is the last object of a command with --progress json, also after an error or an
// interruption.
type ended struct {
	Stage string `json:"stage"` // "ended"
	Exit  int    `json:"exit_code"`
	Err   string `json:"err,omitempty"`
	Hint  string `json:"hint,omitempty"`
	Code  string `json:"code,omitempty"`
}

// progressAsJSON reports whether a command shows its progress as JSON, so that every line
// of standard error is an object.
func progressAsJSON(cmd *cobra.Command) bool {
	if cmd == nil {
		return false
	}
	f := cmd.Flags().Lookup("progress")
	return f != nil && f.Value.String() == logJSON
}

// writeEnd writes the last object.
func (a *app) writeEnd(f *fault.Fault) {
	end := ended{Stage: "ended", Exit: f.Exit, Err: f.What, Hint: f.Hint}
	if f.Code != protocol.CodeNone {
		end.Code = f.Code.String()
	}
	_ = json.NewEncoder(a.stderr).Encode(end)
}
