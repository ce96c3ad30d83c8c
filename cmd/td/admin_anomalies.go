package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

func adminAnomaliesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "anomalies",
		Short: "List what detectors of anomalies have found, and say whether it was true",
		Long: `Lists the verdicts, the newest first, and the state of the detectors: whether they learn,
and how many series and provers are past their warm-up. docs/anomalies.md says what each
detector sees.`,
		Example: "  td admin anomalies\n  td admin anomalies show 17\n  td admin anomalies feedback 17 expected --reason \"our load test\"",
	}
	adminList(cmd, a.listAnomalies)
	cmd.AddCommand(adminShowAnomalyCommand(a), adminAnomalyFeedbackCommand(a))
	return cmd
}

// listAnomalies returns what lists the verdicts of a command with a limit.
func (a *app) listAnomalies(cmd *cobra.Command) readFunc {
	limit := numberFlag(cmd, "limit", 50, "how many are listed at most")
	return func(ctx context.Context, c *admin.Conn, output *choice) error {
		list, err := anomaliesOf(ctx, c, int(*limit))
		if err != nil {
			return err
		}
		return a.show(output, list, func(w io.Writer) error { return anomalyTable(w, list) })
	}
}

// anomaliesOf returns the newest verdicts, page by page.
func anomaliesOf(ctx context.Context, c *admin.Conn, limit int) (*admin.AnomalyList, error) {
	var all *admin.AnomalyList
	for below := uint64(0); ; {
		want := maxPage
		if limit > 0 {
			want = min(maxPage, limit)
		}
		page, err := c.Anomalies(ctx, below, want)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = page
		} else {
			all.Anomalies, all.More = append(all.Anomalies, page.Anomalies...), page.More
		}
		if limit > 0 {
			if limit -= len(page.Anomalies); limit == 0 {
				return all, nil
			}
		}
		if !page.More || len(page.Anomalies) == 0 {
			return all, nil
		}
		below = page.Anomalies[len(page.Anomalies)-1].ID
	}
}

func anomalyTable(w io.Writer, list *admin.AnomalyList) error {
	t := columns(w)
	d := &list.Detectors
	if d.Mode == "off" {
		fmt.Fprintln(t, "detectors\toff (the setting anomaly)")
	} else {
		learning := "yes"
		if !d.Learning {
			learning = "paused (" + cmp.Or(d.Paused, "unknown") + ")"
		}
		fmt.Fprintf(t, "in force\t%d\nlearning\t%s\nwarm series\t%d of %d\nwarm provers\t%d of %d\n", d.InForce, learning, d.SeriesWarm, d.Series, d.ProverWarm, d.Provers)
		if d.Restored != nil {
			fmt.Fprintf(t, "usual since\t%s\n", stamp(*d.Restored))
		}
	}
	if len(list.Anomalies) == 0 {
		fmt.Fprintln(t, "\nno verdict")
		return t.Flush()
	}
	fmt.Fprintln(t, "\nID\tTIME\tDETECTOR\tKIND\tSCOPE\tSCORE\tFEEDBACK\tSENTENCE")
	for i := range list.Anomalies {
		n := &list.Anomalies[i]
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%.3g\t%s\t%s\n", n.ID, stamp(n.At), n.Detector, n.Kind, protocol.Escaped(n.Scope), n.Score, cmp.Or(n.Feedback, "-"), protocol.Escaped(n.Sentence))
	}
	return t.Flush()
}

func adminShowAnomalyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a verdict with its evidence", Args: oneArg("ID"),
		Example: "  td admin anomalies show 17",
	}
	var id uint64
	read := adminRead(cmd, func(ctx context.Context, c *admin.Conn, output *choice) error {
		list, err := c.Anomaly(ctx, id)
		if err != nil {
			return err
		}
		return a.show(output, &list.Anomalies[0], func(w io.Writer) error { return anomalyDetails(w, &list.Anomalies[0]) })
	})
	run := read.RunE
	read.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if id, err = anomalyID(args[0]); err != nil {
			return err
		}
		return run(cmd, args)
	}
	return read
}

// anomalyID reads the id of a verdict.
func anomalyID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil || id == 0 {
		return 0, fault.New(fault.Usage, fmt.Sprintf("%q is no id of a verdict", text), "td admin anomalies lists them")
	}
	return id, nil
}

func anomalyDetails(w io.Writer, n *admin.Anomaly) error {
	fmt.Fprintln(w, protocol.Escaped(n.Sentence))
	if n.Agrees != "" {
		fmt.Fprintln(w, "Another detector agrees: "+protocol.Escaped(n.Agrees))
	}
	t := columns(w)
	fmt.Fprintf(t, "\nid\t%d\ntime\t%s\nsince\t%s\ndetector\t%s\nkind\t%s\nscope\t%s\ncause\t%s\nobserved\t%.6g\nexpected\t%.6g\nscore\t%.4g (1 is the threshold)\nrunbook\t%s\nfeedback\t%s\n",
		n.ID, stamp(n.At), stamp(n.Since), n.Detector, n.Kind, protocol.Escaped(n.Scope), n.Cause, n.Observed, n.Expected, n.Score, n.Runbook, cmp.Or(n.Feedback, "-"))
	for _, f := range n.Evidence {
		fmt.Fprintf(t, "%s\t%s\n", strings.ReplaceAll(protocol.Escaped(f.Name), "_", " "), protocol.Escaped(f.Value))
	}
	return t.Flush()
}

func adminAnomalyFeedbackCommand(a *app) *cobra.Command {
	words := strings.Join(anomaly.FeedbackWords(), "|")
	cmd := &cobra.Command{
		Use: "feedback ID " + words, Short: "Say whether a verdict was true, false or expected",
		Long: `Feedback is used. "false" doubles the threshold of the same kind, scope and cause for a day.
"expected" triples it for a week, and makes what is seen now usual. "true" keeps the
threshold, or restores it. An impossible event has no threshold, so feedback on it is only
stored: silence its alert.`,
		Example: "  td admin anomalies feedback 17 expected --reason \"our load test\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fault.New(fault.Usage, cmd.CommandPath()+" takes the id of a verdict and one of "+words, "usage: "+cmd.UseLine())
			}
			return nil
		},
	}
	check := func(args []string) error {
		if _, err := anomalyID(args[0]); err != nil {
			return err
		}
		if err := anomaly.CheckFeedback(args[1]); err != nil {
			return fault.New(fault.Usage, err.Error(), "")
		}
		return nil
	}
	return a.adminChange(&change{Command: cmd, check: check, do: func(ctx context.Context, c *admin.Conn, why admin.Reason, args []string) (*outcome, error) {
		id, err := anomalyID(args[0])
		if err != nil {
			return nil, err
		}
		return outcomeOf(c.AnomalyFeedback(ctx, admin.AnomalyFeedbackRequest{Reason: why, ID: id, Verdict: args[1]}))
	}})
}
