package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/internal/termui"
)

// paramsFlags are the flags of "td params".
type paramsFlags struct {
	input    input.Flags
	from     string
	pointers []string
}

func paramsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "params CLAIM --from FILE",
		Short: "Propose a claim's parameters from sample events",
		Long: `Reads sample events, as td submit reads its input, and prints parameters that all
of them satisfy: the pointers that every sample has, the least scale and offset
that fit, and for bounds the least and the greatest value. Remarks go to standard
error. Nothing is sent.

The bounds are a guess to be edited. Agree on them with those who verify before
the first receipt: a receipt shows that values lie within bounds, so bounds that
are chosen after the values show nothing.

--pointer names what to use, once for each pointer. For the record claims the
first one is the claimed field. group/1 takes nothing from samples.`,
		Example: `  td params range/1 --from readings.jsonl > params.json
  td params record-range/1 --from people.jsonl --pointer /score > params.json`,
		Args:              oneArg("CLAIM"),
		ValidArgsFunction: completeClaim,
	}
	var f paramsFlags
	cmd.Flags().StringVar(&f.from, "from", "", "file of sample events, - for standard input")
	cmd.Flags().StringArrayVar(&f.pointers, "pointer", nil, "JSON Pointer to use, for example /celsius; may be repeated (default those that fit)")
	inputFlags(cmd, &f.input)
	_ = cmd.MarkFlagRequired("from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.params(cmd.Context(), &f, args[0]) }
	return cmd
}

func (a *app) params(ctx context.Context, f *paramsFlags, name string) error {
	id, err := draft.ParseClaim(name)
	if err != nil {
		return err
	}
	if id == claim.Group {
		return fault.New(fault.Usage, "group/1 takes nothing from samples: it needs the member's secret, the member list and a scope",
			"td claims member makes the secret, td claims list-file the list; then td submit --member FILE --list FILE --scope TEXT")
	}
	var samples [][]byte
	o := input.Options{Flags: f.input, Name: f.from, Stdin: a.stdin, Command: "td params ... --from -"}
	if id == claim.Range || id == claim.Sum {
		o.Numbers = f.pointers
	}
	err = submit.Each(ctx, o, func(event []byte) error {
		samples = append(samples, event)
		return nil
	})
	if err != nil {
		return err
	}
	p, err := claim.Propose(ctx, id, samples, f.pointers)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		hint := fmt.Sprintf("--pointer names what to use; td claims show %s explains the parameters", id)
		if f.input.CSV && len(o.Numbers) == 0 {
			hint = "a field of CSV is a text unless --pointer names its column, or --numbers-from-text; " + hint
		}
		return fault.New(fault.Usage, fault.Of(err).What, hint)
	}
	for _, note := range p.Notes {
		fmt.Fprintln(a.stderr, "note: "+note)
	}
	satisfy := "satisfy"
	if len(samples) == 1 {
		satisfy = "satisfies"
	}
	fmt.Fprintf(a.stderr, "note: %s %s these parameters\n", termui.Count(len(samples), "sample"), satisfy)
	_, err = fmt.Fprintf(a.stdout, "%s\n", p.Params)
	return err
}

// completeClaim completes the id of a claim as the only argument.
func completeClaim(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return draft.ClaimIDs(), cobra.ShellCompDirectiveNoFileComp
}
