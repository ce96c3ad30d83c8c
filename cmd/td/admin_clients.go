package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
)

func adminClientsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clients",
		Short: "List the API clients and their keys",
		Long: `Lists API clients with the ids, scopes and times of their keys. A key itself is shown
once, when it is made, and stored nowhere.`,
		Example: "  td admin clients\n  td admin clients list -o json",
	}
	adminList(cmd, func(*cobra.Command) readFunc {
		return func(ctx context.Context, c *admin.Conn, output *choice) error {
			list, err := c.Clients(ctx)
			if err != nil {
				return err
			}
			return printRows(a, output, list.Clients, "CLIENT\tKEY\tSCOPES\tCREATED\tEXPIRES\tSTATE", clientRows)
		}
	})
	cmd.AddCommand(adminClientsAddCommand(a), adminClientsKeyCommand(a), adminRevokeKeyCommand(a), adminDisableCommand(a))
	return cmd
}

// clientRows prints a line for each key of a client.
func clientRows(w io.Writer, c *admin.Client) {
	for _, k := range c.Keys {
		state := "valid"
		switch {
		case c.Disabled != nil:
			state = "client disabled " + stamp(*c.Disabled)
		case k.Revoked != nil:
			state = "revoked " + stamp(*k.Revoked)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, k.ID, k.Scopes, stamp(k.Created), stampOf(k.Expires), state)
	}
}

// keyFlags are the flags of a command that makes a key.
type keyFlags struct {
	scopes  []string
	expires *span
	file    string
	show    bool
}

func (k *keyFlags) flags(cmd *cobra.Command, scope string) {
	fl := cmd.Flags()
	fl.StringArrayVar(&k.scopes, "scope", nil, scope)
	_ = cmd.RegisterFlagCompletionFunc("scope", cobra.FixedCompletions([]string{"challenge", "proof", "event", "verify"}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	k.expires = spanFlag(cmd, "expires", "after which the key is not valid any more, such as 90d (default never)")
	fl.StringVar(&k.file, "token-file", "", "new file for client id and key, for its owner only")
	fl.BoolVar(&k.show, "show", false, "print client id and key, in place of a file")
	cmd.MarkFlagsMutuallyExclusive("token-file", "show")
}

// check finds out whether the file can be made before a key is made, which nothing could
// show again.
func (k *keyFlags) check() error {
	switch {
	case k.show:
		return nil
	case k.file == "":
		return fault.New(fault.Usage, "a new key needs a place: --token-file FILE, or --show", "a key is shown once and stored nowhere")
	}
	if _, err := os.Lstat(k.file); err == nil {
		return fault.New(fault.Usage, fmt.Sprintf("%s exists already and is not replaced", k.file), "name another file, or move that one away")
	}
	probe, err := os.CreateTemp(filepath.Dir(k.file), ".td-*")
	if err != nil {
		return fault.New(fault.Usage, fmt.Sprintf("%s cannot be written: %v", k.file, err), "no key was made")
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// newKey is what -o json prints of a new key.
type newKey struct {
	admin.Done
	ID    string `json:"id"`
	Token string `json:"token,omitempty"` // with --show
	File  string `json:"token_file,omitempty"`
}

// keep writes the new key to its file, or prints it.
func (k *keyFlags) keep(key *admin.NewKey, err error) (*outcome, error) {
	if err != nil {
		return nil, err
	}
	o := newKey{Done: key.Done, ID: key.ID, File: k.file}
	if k.show {
		o.Token = strings.TrimSuffix(key.Token, "\n")
	} else if err := fsutil.NewPrivate(k.file, []byte(strings.TrimSuffix(key.Token, "\n")+"\n")); err != nil {
		f := fault.Of(err)
		return nil, fault.New(f.Exit, fmt.Sprintf("%s; the key %s was made and is lost", f.What, key.ID), "td admin clients revoke-key "+key.ID)
	}
	return &outcome{Done: key.Done, json: o, more: func(w io.Writer) {
		fmt.Fprintf(w, "key\t%s\n", key.ID)
		if k.show {
			fmt.Fprintf(w, "token\t%s\n", o.Token)
		} else {
			fmt.Fprintf(w, "token file\t%s\n", k.file)
		}
	}}, nil
}

func adminClientsAddCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make an API client with its first key",
		Long: `Makes a client and a key with the given scopes, and writes both to a token file that only
its owner can read. The server keeps a hash of the key: nothing can show it again.

--offline does the same in the data directory of a server that does not run. A server
that others can reach does not start before a client has a key.`,
		Example: `  td admin clients add north --scope challenge --scope proof --token-file t --reason "new site"
  td admin clients add north --scope event:range/1 --expires 90d --show --reason "new site"`,
		Args: oneArg("NAME"),
	}
	var k keyFlags
	k.flags(cmd, "what the key allows: challenge, proof, event, verify, challenge:CLAIM or event:CLAIM (default all); may be given several times")
	offline := cmd.Flags().Bool("offline", false, "no server runs: change the data directory itself")
	ch := &change{Command: cmd, check: func([]string) error { return k.check() }}
	ch.do = func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		r := admin.AddKeyRequest{Reason: why, Client: args[0], Scopes: strings.Join(k.scopes, " "), Expires: k.expires.millis()}
		if !*offline {
			return k.keep(c.AddClient(ctx, r))
		}
		cfg, err := ch.settings()
		if err != nil {
			return nil, err
		}
		return k.keep(addOffline(ctx, cfg.Data, &r))
	}
	return a.adminChange(ch)
}

func adminClientsKeyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make a further key of a client, to replace the former one",
		Long: `Makes a key with the scopes of the newest valid one, or others. The former keys stay valid
for --overlap, in which the client changes its token file.`,
		Example: "  td admin clients key north --overlap 24h --token-file north.new --reason \"yearly change\"",
		Args:    oneArg("NAME"),
	}
	var k keyFlags
	k.flags(cmd, "what the key allows (default as the newest valid key); may be given several times")
	overlap := span(24 * time.Hour)
	cmd.Flags().Var(&overlap, "overlap", "how long the former keys stay valid")
	return a.adminChange(&change{
		Command: cmd,
		check:   func([]string) error { return k.check() },
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
			scopes := strings.Join(k.scopes, " ")
			if scopes == "" {
				var err error
				if scopes, err = scopesOf(ctx, c, args[0]); err != nil {
					return nil, err
				}
			}
			return k.keep(c.AddKey(ctx, admin.AddKeyRequest{Reason: why, Client: args[0], Scopes: scopes, Expires: k.expires.millis(), Overlap: overlap.millis()}))
		},
	})
}

// scopesOf returns the scopes of the newest valid key of a client.
func scopesOf(ctx context.Context, c *admin.Conn, name string) (string, error) {
	list, err := c.Clients(ctx)
	if err != nil {
		return "", err
	}
	var newest admin.Key
	for _, client := range list.Clients {
		for _, k := range client.Keys {
			if client.ID == name && k.Revoked == nil && !k.Created.Before(newest.Created) {
				newest = k
			}
		}
	}
	if newest.Scopes == "" {
		return "", fault.New(fault.NotFound, fmt.Sprintf("client %s has no key that is not revoked", protocol.Escaped(name)), "td admin clients lists clients; --scope says what the new key allows")
	}
	return newest.Scopes, nil
}

func adminRevokeKeyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "revoke-key KEY",
		Short:   "Revoke a key of a client at once",
		Long:    `KEY is the id of the key, of 10 hexadecimal digits, as td admin clients lists it.`,
		Example: "  td admin clients revoke-key 0011223344 --reason \"it was in a repository\"",
		Args:    oneArg("KEY"),
	}
	return a.adminChange(&change{Command: cmd, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		return outcomeOf(c.RevokeKey(ctx, admin.RevokeKeyRequest{Reason: why, Key: args[0]}))
	}})
}

func adminDisableCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "disable NAME",
		Short:   "Disable a client and its keys at once, permanently",
		Example: "  td admin clients disable north --reason \"site closed\"",
		Args:    oneArg("NAME"),
	}
	return a.adminChange(&change{
		Command: cmd,
		risk:    func() string { return "its keys end at once, and its name is not given again" },
		do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
			return outcomeOf(c.DisableClient(ctx, admin.DisableClientRequest{Reason: why, Client: args[0]}))
		},
	})
}
