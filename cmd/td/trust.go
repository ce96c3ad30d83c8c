package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// trustFlag adds --trust to a command.
func trustFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("trust", "", "trust store: where this user's checkpoints of logs are kept (default terradourada/trust in the state directory)")
}

// openTrust opens the trust store named by --trust, or the user's.
func openTrust(dir string) (*receipt.TrustStore, error) {
	if dir == "" {
		var err error
		if dir, err = receipt.DefaultTrustDir(); err != nil {
			return nil, fail(exitConfig, fmt.Sprintf("there is no place for the trust store: %v", err), "--trust DIR names one")
		}
	}
	t, err := receipt.OpenTrust(dir)
	if err != nil {
		return nil, fail(exitConfig, fmt.Sprintf("the trust store in %s does not open: %v", dir, err), "--trust DIR names another one")
	}
	return t, nil
}

// pushRequest asks for an event to be proved by the server.
func pushRequest(id claim.ID, params, event []byte) api.EventRequest {
	return api.EventRequest{Claim: id.String(), Params: params, Event: event}
}

// receiptPath and openingPath are the files of one request in a folder.
func receiptPath(dir string, id protocol.RequestID) string {
	return filepath.Join(dir, id.String()+".receipt.json")
}

func openingPath(dir string, id protocol.RequestID) string {
	return filepath.Join(dir, id.String()+".opening")
}
