package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
)

func claimsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "claims",
		Short: "List what can be claimed about an event",
		Long: `Lists the claims that this program knows: their circuits' sizes, the fingerprints
of their verifying keys, and the form of their parameters. With --server it lists
the claims in a server's log instead.`,
		Example: "  td claims\n  td claims show range/1\n  td claims --server http://127.0.0.1:8080",
		Args:    cobra.NoArgs,
	}
	server := cmd.Flags().String("server", "", "URL of a server, to list what its log has")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list := knownClaims()
		if *server != "" {
			from, err := remote.Dial(*server, remote.Patience{})
			if err != nil {
				return err
			}
			if list, err = from.Claims(cmd.Context()); err != nil {
				return from.Failure(cmd.Context(), err)
			}
		}
		if output.value == "json" {
			return a.printClaimLines(list, *server != "")
		}
		return printClaims(a.stdout, list)
	}
	cmd.AddCommand(claimsShowCommand(a), claimsMemberCommand(a), claimsListFileCommand(a))
	return cmd
}

// knownClaims are the claims of this build.
func knownClaims() []api.Claim {
	var list []api.Claim
	for _, id := range claim.IDs() {
		c := api.Claim{Claim: id.String(), Gates: claim.Gates(id)}
		if key, ok := claim.KnownKey(id); ok {
			c.Fingerprint = key.Fingerprint(id, protocol.ListID{})
		}
		list = append(list, c)
	}
	return list
}

// printClaimLines prints one JSON object a line. Only a log says where a key
// stands in it.
func (a *app) printClaimLines(list []api.Claim, ofLog bool) error {
	for i := range list {
		var line any = list[i]
		if c := list[i]; !ofLog {
			line = struct {
				Claim       string          `json:"claim"`
				Gates       int             `json:"gates"`
				Fingerprint protocol.Digest `json:"fingerprint,omitzero"`
			}{c.Claim, c.Gates, c.Fingerprint}
		}
		if err := a.printJSON(line); err != nil {
			return err
		}
	}
	return nil
}

func printClaims(w io.Writer, list []api.Claim) error {
	shapes := map[string]string{}
	for _, id := range claim.IDs() {
		shapes[id.String()] = claim.Describe(id).Shape
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLAIM\tGATES\tFINGERPRINT\tPARAMETERS")
	for _, c := range list {
		print, gates := c.Fingerprint.String(), fmt.Sprint(c.Gates)
		switch {
		case c.Retired:
			print += " (retired)"
		case c.List != nil:
			print += " (list " + c.List.String()[:8] + "…)"
		case c.Fingerprint == protocol.Digest{}:
			print, gates = "one for each member list", fmt.Sprintf("%d + members", c.Gates-1)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.Claim, gates, print, shapes[c.Claim])
	}
	return table.Flush()
}

func claimsShowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show ID",
		Short:             "Explain one claim, with an example",
		Example:           "  td claims show range/1\n  td claims show sum/1 -o json | jq .params > params.json",
		Args:              oneArg("ID"),
		ValidArgsFunction: completeClaim,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		id, err := draft.ParseClaim(args[0])
		if err != nil {
			return err
		}
		return a.showClaim(id, output.value == "json")
	}
	return cmd
}

func (a *app) showClaim(id claim.ID, asJSON bool) error {
	t := claim.Describe(id)
	if asJSON {
		return a.printJSON(struct {
			Claim  string          `json:"claim"`
			Says   string          `json:"says"`
			Gates  int             `json:"gates"`
			Params json.RawMessage `json:"params"`
			Event  json.RawMessage `json:"event"`
			Notes  []noteLine      `json:"notes"`
		}{id.String(), t.Says, claim.Gates(id), json.RawMessage(t.Params), json.RawMessage(t.Event), noteLines(t.Notes)})
	}
	how := "--params params.json "
	switch id {
	case claim.Open:
		how = ""
	case claim.Group:
		how = "--member me.secret --list list.json --params params.json "
	}
	shape := t.Shape
	if t.Values != "" {
		shape += "\n            " + t.Values
	}
	var notes strings.Builder
	for _, n := range t.Notes {
		fmt.Fprintf(&notes, "%-12s%s\n            params %s\n            event  %s\n\n", n.Topic, n.Text, n.Params, n.Event)
	}
	propose := ""
	if id != claim.Group {
		propose = fmt.Sprintf("td params %s --from samples.jsonl > params.json\n", id)
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s\n\nparameters  %s\nexample     %s\nfor event   %s\n\n%s%std submit --claim %s %s--out receipts event.json\n",
		id, t.Says, shape, t.Params, t.Event, &notes, propose, id, how)
	return err
}

// noteLine is a note of a claim in JSON.
type noteLine struct {
	Topic  string          `json:"topic"`
	Text   string          `json:"text"`
	Params json.RawMessage `json:"params"`
	Event  json.RawMessage `json:"event"`
}

func noteLines(notes []claim.Note) []noteLine {
	var lines []noteLine
	for _, n := range notes {
		lines = append(lines, noteLine{n.Topic, n.Text, json.RawMessage(n.Params), json.RawMessage(n.Event)})
	}
	return lines
}

func claimsMemberCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member --out FILE",
		Short: "Make a member's secret for group/1",
		Long: `Draws a secret from the system's random numbers, writes it to a file that only its
owner can read, and prints the public member commitment for the list. The secret
exists nowhere else. Anyone who has the file can answer as this member.`,
		Example: "  td claims member --out me.secret",
		Args:    noArgs,
	}
	out := cmd.Flags().String("out", "", "file for the secret; it must not exist yet")
	_ = cmd.MarkFlagRequired("out")
	cmd.RunE = func(*cobra.Command, []string) error {
		secret := claim.NewMemberSecret()
		if err := fsutil.NewPrivate(*out, secret.Encode()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(a.stdout, secret.Member())
		return err
	}
	return cmd
}

func claimsListFileCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list-file --name NAME MEMBER...",
		Short: "Write a member list for group/1",
		Long: `Prints the list file of an electorate: its name, which stays the same over all
revisions, and the commitments of its members, sorted. The server takes it with
td serve --group, members with td submit --list.`,
		Example: "  td claims list-file --name board $(cat *.member) > board.json",
		Args:    someArgs("MEMBER"),
	}
	name := cmd.Flags().String("name", "", "name of the electorate")
	_ = cmd.MarkFlagRequired("name")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		members := make([]protocol.Member, len(args))
		for i, text := range args {
			var err error
			if members[i], err = protocol.Parse[protocol.Member](text); err != nil {
				return fault.New(fault.Usage, fmt.Sprintf("member %d is not 64 lower-case hexadecimal digits of a field element", i+1), "td claims member prints one")
			}
		}
		list, err := claim.NewList(*name, members)
		if err != nil {
			return fault.New(fault.Usage, remote.Detail(err), "")
		}
		fmt.Fprintf(a.stderr, "list %s of %d members\n", list.ID(), len(members))
		_, err = a.stdout.Write(list.Encode())
		return err
	}
	return cmd
}
