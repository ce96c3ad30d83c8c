package main

import (
	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/remote"
)

// serverFlag adds --server to a command.
func serverFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("server", "", "URL of the server (default $TD_SERVER, or "+remote.DefaultServer+")")
}

// serverUserFlag adds --server-user to a command.
func serverUserFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("server-user", "", "user who runs the server on this machine, by name or number (default $TD_SERVER_USER); root and the own user are known")
}

// selfAssertedFlag adds --allow-self-asserted to a command that talks to a server.
func selfAssertedFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("allow-self-asserted", false, "also use a server that nothing shows to be the right one; its receipts are unvouched")
}

// trustFlag adds --trust to a command.
func trustFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("trust", "", "trust store: where this user's checkpoints of logs are kept (default terradourada/trust in the state directory)")
}
