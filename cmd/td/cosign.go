package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/localserver"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func cosignCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cosign",
		Short: "Sign the checkpoints of other people's logs, or ask for such signatures",
		Long: `A cosigner runs outside of the backend, under keys of its own, and signs only
checkpoints of a log that continue the newest one it has signed. An auditor who names
its keys in a policy file then needs neither the operator nor a memory of their own.

init, add, serve, list and approve are for the operator of a cosigner; submit is for the
operator of a log.`,
		Example: "  td cosign init --dir ./cosigner --name cosigner.example\n  td cosign add --dir ./cosigner --server https://td.example\n  td cosign serve --dir ./cosigner",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(cosignInitCommand(a), cosignAddCommand(a), cosignServeCommand(a), cosignListCommand(a), cosignApproveCommand(a), cosignSubmitCommand(a))
	return cmd
}

// dirFlag adds --dir to a command.
func dirFlag(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "dir", "", "directory of the cosigner, with its keys and its memory")
	_ = cmd.MarkFlagRequired("dir")
}

func cosignInitCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a new cosigner",
		Long: `Makes a directory with the keys of a new cosigner, Ed25519 and ML-DSA-44, and an
empty memory, for you alone. Prints the lines of a policy file that name the keys;
publish them. The keys are long-lived. Anyone who has them can sign any history, and an
older copy of the directory that is put back can sign a second one.`,
		Example: "  td cosign init --dir ./cosigner --name cosigner.example",
		Args:    noArgs,
	}
	var dir, name string
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&name, "name", "", "name of the cosigner in its signatures, such as a host name of yours")
	_ = cmd.MarkFlagRequired("name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, err := cosign.Init(cmd.Context(), dir, name)
		if err != nil {
			return err
		}
		_, err = io.WriteString(a.stdout, key.Policy())
		return err
	}
	return cmd
}

func cosignAddCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Begin to cosign a log",
		Long: `Reads the newest checkpoint of a server and begins there: what the log says up to
this checkpoint is believed, and the log is bound to this URL. The server must be
reached by https or on this machine, where the port must be held by root, by you or
by --server-user. A log can be added only once.`,
		Example: "  td cosign add --dir ./cosigner --server https://td.example",
		Args:    noArgs,
	}
	var dir, server, user string
	dirFlag(cmd, &dir)
	serverFlag(cmd, &server)
	serverUserFlag(cmd, &user)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		store, err := cosign.OpenDir(cmd.Context(), dir)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }() // every change is durable already
		log, err := remote.OpenServerLog(server, user, true)
		if err != nil {
			return err
		}
		cp, err := log.SignedCheckpoint(cmd.Context())
		if err != nil {
			return log.Failure(cmd.Context(), err)
		}
		head := receipt.Head{Size: cp.Size, Root: cp.Root, Key: cp.Key}
		err = store.Add(cmd.Context(), cp.Origin, log.Source().Server, head, time.Now())
		if errors.Is(err, cosign.ErrKnownLog) {
			return fault.New(fault.Usage, err.Error(), "td cosign list shows it")
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "origin  %s\nsize    %d\nserver  %s\n", cp.Origin, cp.Size, log.Source().Server)
		return err
	}
	return cmd
}

// cosignServer are the flags of td cosign serve.
type cosignServer struct {
	dir, listen, cert, key, user string

	onBreak *choice
}

func cosignServeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer requests for cosignatures",
		Long: `Answers POST /add-checkpoint of C2SP tlog-witness. A checkpoint is cosigned if it
contains the newest cosigned one and is signed by the same key, or by a key to which
hand-overs lead from it. After a crash of the server there is no hand-over. With
--on-break live the cosigner then reads the server itself, at the URL that the log is
bound to, and believes the key that it shows; with --on-break approve it refuses until
td cosign approve has named the key.

On an address that others can reach it needs a certificate.`,
		Example: `  td cosign serve --dir ./cosigner --on-break approve
  td cosign serve --dir ./cosigner --listen :8443 --tls-cert cert.pem --tls-key key.pem`,
		Args: noArgs,
	}
	var s cosignServer
	dirFlag(cmd, &s.dir)
	serverUserFlag(cmd, &s.user)
	fl := cmd.Flags()
	fl.StringVar(&s.listen, "listen", "127.0.0.1:8081", "address to listen on")
	fl.StringVar(&s.cert, "tls-cert", "", "PEM file with the certificate of the listener")
	fl.StringVar(&s.key, "tls-key", "", "PEM file with its private key")
	s.onBreak = choiceFlag(cmd, "on-break", "", "what decides about a key without a hand-over", string(cosign.Live), string(cosign.Approve))
	cmd.MarkFlagsRequiredTogether("tls-cert", "tls-key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.cosignServe(cmd.Context(), &s) }
	return cmd
}

func (a *app) cosignServe(ctx context.Context, s *cosignServer) error {
	store, err := cosign.OpenDir(ctx, s.dir)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }() // every change is durable already
	key, err := cosign.ReadKey(s.dir)
	if err != nil {
		return err
	}
	l, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	c := cosign.New(cosign.Config{
		Store: store, Signer: key, OnBreak: cosign.OnBreak(s.onBreak.value),
		Open: func(server string) (cosign.Source, error) { return remote.OpenServerLog(server, s.user, true) },
	})
	outcomes := &outcomePrinter{out: a.stderr}
	scheme := "http"
	if s.cert != "" {
		scheme = "https"
	}
	fmt.Fprintf(a.stderr, "td: cosigner %s\n%s%s://%s\n", key.Name(), localserver.ReadyLine, scheme, l.Addr())
	return cosign.Serve(ctx, l, cosign.NewHandler(c, time.Now, outcomes.print))
}

// open opens the listener.
func (s *cosignServer) open(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("cannot listen on %s: %v", s.listen, err), "--listen names another address; port 0 takes any free one")
	}
	if s.cert == "" {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
			return l, nil
		}
		_ = l.Close() // nothing has used it
		return nil, fault.New(fault.Config, fmt.Sprintf("others can reach %s, and there is no certificate", s.listen), "add --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that has one")
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		_ = l.Close() // nothing has used it
		return nil, fault.New(fault.Config, fmt.Sprintf("the TLS certificate does not load: %v", err), "")
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}), nil
}

func cosignListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the logs of a cosigner",
		Example: "  td cosign list --dir ./cosigner\n  td cosign list --dir ./cosigner -o json",
		Args:    noArgs,
	}
	var dir string
	dirFlag(cmd, &dir)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		store, err := cosign.OpenDir(cmd.Context(), dir)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }() // every change is durable already
		logs, err := store.Logs(cmd.Context())
		if err != nil {
			return err
		}
		return a.printCosigned(dir, logs, output.value == "json")
	}
	return cmd
}

// cosignedLog is a line of td cosign list.
type cosignedLog struct {
	Origin  string          `json:"origin"`
	Server  string          `json:"server"`
	Size    uint64          `json:"size"`
	Root    protocol.Digest `json:"root"`
	Key     protocol.Digest `json:"key"`
	Since   string          `json:"since"`             // when this head was first cosigned, or added
	Waiting string          `json:"waiting,omitempty"` // a key that needs approval

	Approved string `json:"approved,omitempty"` // a key that was approved and is not in use yet
}

func (a *app) printCosigned(dir string, logs []cosign.Log, asJSON bool) error {
	if len(logs) == 0 {
		fmt.Fprintln(a.stderr, "no log was added")
		return nil
	}
	if !asJSON {
		fmt.Fprintf(a.stdout, "%-36s%-10s%-22s%s\n", "ORIGIN", "SIZE", "SINCE", "SERVER")
	}
	for _, l := range logs {
		line := cosignedLog{Origin: l.Origin, Server: l.Server, Size: l.Head.Size, Root: l.Head.Root, Key: l.Head.Key, Since: l.Since.Format(time.RFC3339)}
		if l.Waiting != [32]byte{} {
			line.Waiting = protocol.Digest(l.Waiting).String()
		}
		if l.Approved != [32]byte{} {
			line.Approved = protocol.Digest(l.Approved).String()
		}
		if asJSON {
			if err := a.printJSON(line); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(a.stdout, "%-36s%-10d%-22s%s\n", line.Origin, line.Size, line.Since, line.Server)
		if line.Waiting != "" {
			fmt.Fprintf(a.stdout, "  a key without a hand-over waits: td cosign approve --dir %s --origin %s --key %s\n", protocol.Escaped(dir), line.Origin, line.Waiting)
		}
		if line.Approved != "" {
			fmt.Fprintf(a.stdout, "  approved, and not in use yet: %s\n", line.Approved)
		}
	}
	return nil
}

func cosignApproveCommand(*app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approve",
		Short: "Let a log go on under a key without a hand-over",
		Long: `Lets a log go on, once, under a key to which no hand-over leads. Ask the operator,
by a way that an attacker does not control, whether their server crashed and which
checkpoint key it has now: td log info prints it. Only a checkpoint that contains the
newest cosigned one is signed under it. The server asks again within a minute. If its key
was replaced meanwhile, approve the present one: an approval is for one key, and the last
one counts.`,
		Example: "  td cosign approve --dir ./cosigner --origin terradourada/0123456789abcdef --key KEY",
		Args:    noArgs,
	}
	var dir, origin, key string
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&origin, "origin", "", "origin of the log")
	cmd.Flags().StringVar(&key, "key", "", "the new checkpoint key, as td cosign list prints it")
	_ = cmd.MarkFlagRequired("origin")
	_ = cmd.MarkFlagRequired("key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var approved protocol.Digest
		if err := approved.UnmarshalText([]byte(key)); err != nil {
			return fault.New(fault.Usage, "--key is not a checkpoint key", "td cosign list prints the one that waits")
		}
		store, err := cosign.OpenDir(cmd.Context(), dir)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }() // every change is durable already
		err = store.Approve(cmd.Context(), origin, approved)
		switch {
		case errors.Is(err, cosign.ErrUnknownLog):
			return fault.New(fault.NotFound, err.Error(), "td cosign list names the logs")
		case errors.Is(err, cosign.ErrOldKey):
			return fault.New(fault.Denied, "this key was in use before, and an old key never returns", "")
		}
		return err
	}
	return cmd
}

// cosignSubmission are the flags of td cosign submit.
type cosignSubmission struct {
	log       logFlags
	cosigners []string
	policy    string
	out       string
}

func cosignSubmitCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit",
		Short: "Get the newest checkpoint of a log cosigned",
		Long: `Reads the newest checkpoint of a log and asks every cosigner for its cosignature,
all at once. Only signatures of keys that --policy names are kept. If they satisfy the
policy, the checkpoint with them is written to --out; otherwise the file stays as it
was, and the exit code is 7.

A server with the setting cosigners submits by itself and needs no such command. For any
other one run it from a timer, for example every minute. td verify --cosigned, and
td trust add --policy for a mirror whose checkpoint it is, read the file.`,
		Example: `  td cosign submit --server https://td.example --policy cosigners.txt --out checkpoint
  td cosign submit --server https://td.example --policy cosigners.txt --out checkpoint \
    --cosigner https://a.example --cosigner https://b.example`,
		Args: noArgs,
	}
	var s cosignSubmission
	addLogFlags(cmd, &s.log)
	fl := cmd.Flags()
	fl.StringArrayVar(&s.cosigners, "cosigner", nil, "URL of a cosigner, instead of those in the policy file; may be given several times")
	fl.StringVar(&s.policy, "policy", "", "policy file: the keys of the cosigners, and how many must sign")
	fl.StringVar(&s.out, "out", "", "file to write the cosigned checkpoint to; a file of that name is replaced")
	for _, name := range []string{"policy", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.cosignSubmit(cmd.Context(), &s) }
	return cmd
}

func (a *app) cosignSubmit(ctx context.Context, s *cosignSubmission) error {
	for _, url := range s.cosigners {
		if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
			return fault.New(fault.Usage, fmt.Sprintf("--cosigner does not take %q: it is not an http or https URL", url), "")
		}
	}
	policy, err := remote.ReadPolicy(s.policy)
	if err != nil {
		return err
	}
	if len(s.cosigners) == 0 {
		for _, c := range policy.Cosigners() {
			s.cosigners = append(s.cosigners, c.URL)
		}
	}
	if len(s.cosigners) == 0 {
		return fault.New(fault.Usage, "neither the policy file nor --cosigner names a URL", "a URL is the last word of a line: witness NAME KEY https://cosigner.example:8443")
	}
	log, err := s.log.open()
	if err != nil {
		return err
	}
	cp, err := log.SignedCheckpoint(ctx)
	if err != nil {
		return log.Failure(ctx, err)
	}
	for _, o := range cosign.Submit(ctx, s.cosigners, cp, log) {
		if o.Err != nil {
			fmt.Fprintf(a.stderr, "td: %s did not cosign: %s\n", o.Cosigner, protocol.Printable(o.Err.Error()))
			continue
		}
		with, err := policy.Cosigned(cp, o.Lines)
		if err != nil {
			return err
		}
		if with.Note == cp.Note {
			fmt.Fprintf(a.stderr, "td: %s added nothing: its signatures are there already, or the policy does not name its keys\n", o.Cosigner)
			continue
		}
		fmt.Fprintf(a.stderr, "td: %s cosigned size %d\n", o.Cosigner, cp.Size)
		cp = with
	}
	if err := policy.Check(cp); err != nil {
		return fault.New(fault.Unavailable, "the cosignatures do not satisfy the policy", "the lines above say which cosigner did not sign; try again")
	}
	return fsutil.WriteFile(s.out, []byte(cp.Note), 0o644)
}
