package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

func adminStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether the server accepts, and if not, who stopped it and how to go on",
		Long: `The first line says whether requests are issued and accepted. If not, it is followed by
who stopped it, why, since when, until when, and the command that starts it again. Then
epochs, pending requests, journal, log, open incidents, and approvals that wait.`,
		Example: "  td admin status\n  td admin status -o json",
		Args:    noArgs,
	}
	return adminRead(cmd, func(ctx context.Context, c *admin.Conn, output *choice) error {
		r, err := readReport(ctx, c)
		if err != nil {
			return err
		}
		return a.show(output, r, r.table)
	})
}

// adminReport is what td admin status prints.
type adminReport struct {
	Issuing   bool   `json:"issuing"`
	Accepting bool   `json:"accepting"`
	Says      string `json:"says"` // the first line
	Stops     []stop `json:"stops"`
	*admin.Status
	Epochs []admin.Epoch `json:"epochs"`
}

// stop is why something is not issued or not accepted.
type stop struct {
	What  string        `json:"what"`            // is stopped
	By    string        `json:"by,omitempty"`    // whom
	Why   string        `json:"why,omitempty"`   // in their words
	Since *admin.Moment `json:"since,omitempty"` // if it is known
	Until *admin.Moment `json:"until,omitempty"` // if it ends by itself
	Then  string        `json:"then"`            // what starts it again

	issue, accept bool             // whether it stops all claims
	operation     string           // of a freeze; "" for both
	claim         *protocol.Digest // of a freeze; nil for all
}

func readReport(ctx context.Context, c *admin.Conn) (*adminReport, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	epochs, err := c.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	names, rows := map[protocol.Digest]string{}, map[uint64]admin.Row{}
	if len(s.Server.Holds) > 0 || s.Server.Sealed { // who did it is read from the audit
		if claims, err := c.Claims(ctx); err == nil {
			for _, claim := range claims.Claims {
				names[claim.Fingerprint] = claim.ID
			}
		}
		all, _ := auditRows(ctx, c, 0, maxRows, true) // without it the report is less complete
		for _, r := range all {
			if r.Index != nil {
				rows[*r.Index] = r
			}
		}
	}
	return newReport(s, epochs.Epochs, names, rows), nil
}

// maxRows bounds how many of the newest rows of the audit are searched for a freeze.
const maxRows = 100_000

// newReport judges a status. names are those of fingerprints, rows those of leaves.
func newReport(s *admin.Status, epochs []admin.Epoch, names map[protocol.Digest]string, rows map[uint64]admin.Row) *adminReport {
	r := &adminReport{Issuing: true, Accepting: true, Status: s, Epochs: epochs, Stops: []stop{}}
	if s.Server.Sealed {
		r.Stops = append(r.Stops, sealed(rows))
	} else {
		r.Stops = append(r.Stops, holds(s, names, rows)...)
	}
	for _, part := range []struct {
		name          string
		c             *api.Condition
		issue, accept bool
	}{{"the journal", &s.Server.Journal, false, true}, {"the log", &s.Server.Ledger, false, true}, {"the keys", &s.Server.Epochs, true, false}} {
		if part.c.State != "ok" && !s.Server.Sealed {
			r.Stops = append(r.Stops, stop{
				What: part.name + ": " + part.c.State, Why: part.c.Why, Since: part.c.Since, issue: part.issue, accept: part.accept,
				Then: "by itself when the cause is gone; docs/operate.md explains it",
			})
		}
	}
	for _, one := range r.Stops {
		r.Issuing, r.Accepting = r.Issuing && !one.issue, r.Accepting && !one.accept
	}
	r.Says = firstLine(r)
	return r
}

func firstLine(r *adminReport) string {
	switch {
	case r.Server.Sealed:
		return "NOT ACCEPTING, permanently: the log is sealed"
	case !r.Issuing && !r.Accepting:
		return "NOT ACCEPTING: nothing is issued, and nothing is accepted"
	case !r.Accepting:
		return "NOT ACCEPTING: requests are issued, but nothing is accepted"
	case !r.Issuing:
		return "NOT ISSUING: no new requests; pending ones are accepted"
	case len(r.Stops) > 0:
		return "accepting, but not everything"
	}
	return "accepting"
}

// sealed returns the stop of a sealed log.
func sealed(rows map[uint64]admin.Row) stop {
	s := stop{What: "the log is sealed", Then: "nothing", issue: true, accept: true}
	for _, row := range rows {
		if row.Action == "seal" {
			s.By, s.Why, s.Since = row.Actor, row.Reason, &row.Time
		}
	}
	return s
}

// holds returns the freezes. Acceptance and issuing that were frozen together are one.
func holds(s *admin.Status, names map[protocol.Digest]string, rows map[uint64]admin.Row) (all []stop) {
	for _, h := range s.Server.Holds {
		one := hold(s, &h, names, rows)
		i := slices.IndexFunc(all, func(other stop) bool { return other.pairs(&one) })
		if i < 0 {
			all = append(all, one)
			continue
		}
		both := &all[i]
		both.operation, both.issue, both.accept = "", both.issue || one.issue, both.accept || one.accept
	}
	for i := range all {
		all[i].describe(names)
	}
	return all
}

// pairs reports whether two freezes are the two halves of one.
func (s *stop) pairs(o *stop) bool {
	if s.operation == "" || s.operation == o.operation || s.By != o.By || s.Why != o.Why || stampOf(s.Until) != stampOf(o.Until) {
		return false
	}
	return s.claim == nil && o.claim == nil || s.claim != nil && o.claim != nil && *s.claim == *o.claim
}

// describe sets what is frozen, and the command that thaws it.
func (s *stop) describe(names map[protocol.Digest]string) {
	s.What = map[string]string{"accept": "acceptance is frozen", "issue": "issuing is frozen", "": "acceptance and issuing are frozen"}[s.operation]
	s.Then = "td admin thaw"
	if s.operation != "" {
		s.Then += " --" + s.operation
	}
	if s.claim != nil {
		s.What += fmt.Sprintf(" for %s (%s)", cmp.Or(names[*s.claim], "a claim"), s.claim)
		s.Then += " --fingerprint " + s.claim.String()
	}
	s.Then += ` --reason "…"`
	if s.By == "core" && s.Why == divergence {
		s.Then += ", after a restart that finds journal and log equal"
	}
}

// hold returns one freeze with whom the audit names.
func hold(s *admin.Status, h *api.Hold, names map[protocol.Digest]string, rows map[uint64]admin.Row) stop {
	one := stop{
		operation: h.Kind, claim: h.Claim, By: h.By, Why: h.Why, Since: h.Since, Until: endOf(s, h, names),
		issue: h.Claim == nil && h.Kind == "issue", accept: h.Claim == nil && h.Kind == "accept",
	}
	if h.Index != nil && h.By != "core" {
		if row, ok := rows[*h.Index]; ok {
			one.By, one.Why = row.Actor, row.Reason
		}
	}
	return one
}

// divergence is why the core freezes until a restart: see [api.Hold].
const divergence = "journal and log disagree"

// endOf returns when the core ends a freeze.
func endOf(s *admin.Status, h *api.Hold, names map[protocol.Digest]string) *admin.Moment {
	for _, e := range s.Ends {
		all := e.Claim == "" && e.Fingerprint == nil && h.Claim == nil
		one := h.Claim != nil && (e.Fingerprint != nil && *e.Fingerprint == *h.Claim || e.Claim != "" && e.Claim == names[*h.Claim])
		if (e.Operation == h.Kind || e.Operation == "both") && (all || one) {
			return &e.Until
		}
	}
	return nil
}

func (r *adminReport) table(w io.Writer) error {
	fmt.Fprintln(w, r.Says)
	for i := range r.Stops {
		r.stopTable(w, &r.Stops[i])
	}
	if r.NotDurable > 0 {
		fmt.Fprintf(w, "  HELD IN MEMORY: %s in force, not durable; do not end the server before the journal is mended\n", termui.CountAre(r.NotDurable, "action"))
	}
	fmt.Fprintln(w)
	t := columns(w)
	s := &r.Server
	fmt.Fprintf(t, "log\t%s, size %d, published %d\n", s.Origin, s.Size, s.Published)
	for _, e := range r.Epochs {
		fmt.Fprintf(t, "epoch\t%d %s, since %s, %d issued, %d pending, %s\n", e.Number, e.Phase, r.when(&e.Since), e.Issued, e.Pending, e.ID)
	}
	fmt.Fprintf(t, "pending\t%s\n", termui.Count(int(r.Pending), "request"))
	keys := r.part(&s.Epochs)
	if s.Sealed {
		keys = "none, as the log is sealed"
	}
	fmt.Fprintf(t, "journal\t%s\nledger\t%s\nkeys\t%s\n", r.part(&s.Journal), r.part(&s.Ledger), keys)
	r.alertTable(t)
	r.openTable(t)
	fmt.Fprintf(t, "you\t%s, %s\n", protocol.Escaped(r.Actor), r.Role)
	fmt.Fprintf(t, "server\t%s, since %s\n", s.Version, r.when(&r.Started))
	return t.Flush()
}

// alertTable prints how many alerts fire, and whether they can be delivered.
func (r *adminReport) alertTable(w io.Writer) {
	a := &r.Alerts
	firing := "none firing"
	if a.Firing > 0 {
		firing = fmt.Sprintf("%d firing; td admin alerts lists them", a.Firing)
	}
	if a.Dropped > 0 {
		firing += fmt.Sprintf("; %d times one found no place", a.Dropped)
	}
	notifier := a.Notifier
	if a.Notifier == admin.NotifierDown {
		notifier = "DOWN: alerts are not delivered, and are in the log and td admin alerts only"
	}
	if a.Since != nil {
		notifier += ", since " + r.when(a.Since)
	}
	if a.Exits > 0 {
		notifier += fmt.Sprintf(", %s, the last one: %s", termui.Count(int(a.Exits), "exit"), protocol.Escaped(a.How))
	}
	fmt.Fprintf(w, "alerts\t%s\nnotifier\t%s\n", firing, notifier)
	for i := range r.Cosigners {
		fmt.Fprintf(w, "cosigner\t%s\n", r.cosigner(&r.Cosigners[i]))
	}
}

// cosigner returns the line about one cosigner: the newest size that it cosigned, and since
// when and why it fails.
func (r *adminReport) cosigner(c *admin.Cosigner) string {
	text := protocol.Escaped(c.URL) + ", none cosigned since the start"
	if c.Size > 0 {
		text = fmt.Sprintf("%s, cosigned size %d", protocol.Escaped(c.URL), c.Size)
	}
	if c.Failing != nil {
		text += fmt.Sprintf(", FAILS since %s: %s", r.when(c.Failing), protocol.Escaped(c.Why))
	}
	return text
}

// stopTable prints one stop: what, by whom, since when and until when, why, and the way on.
func (r *adminReport) stopTable(w io.Writer, s *stop) {
	line := "  " + s.What
	if s.By != "" {
		line += ", by " + protocol.Escaped(s.By)
	}
	if s.Since != nil {
		line += ", since " + r.when(s.Since)
	}
	if s.Until != nil {
		line += ", until " + r.when(s.Until)
	}
	fmt.Fprintln(w, line)
	if s.Why != "" {
		fmt.Fprintf(w, "    why: %s\n", protocol.Escaped(s.Why))
	}
	if s.Then == "nothing" {
		fmt.Fprintln(w, "    it stays so")
		return
	}
	fmt.Fprintf(w, "    starts again with: %s\n", s.Then)
}

// openTable prints what waits for people.
func (r *adminReport) openTable(w io.Writer) {
	for i := range r.Incidents {
		in := &r.Incidents[i]
		fmt.Fprintf(w, "incident\t%d %s, since %s, by %s: %s\n", in.Index, in.Kind, r.when(&in.Opened), protocol.Escaped(in.Actor), protocol.Escaped(in.Reason))
		for _, l := range in.Left {
			fmt.Fprintf(w, "\t  %s: %s\n", l.ID, protocol.Escaped(l.Text))
		}
		fmt.Fprintf(w, "\t  %s\n", closeLine(in.Index, in.Left))
	}
	if len(r.Incidents) == 0 {
		fmt.Fprintln(w, "incidents\tnone open")
	}
	for _, a := range r.Waiting {
		fmt.Fprintf(w, "approval\t%s %s, asked for by %s, for another commander until %s\n", a.Action, protocol.Escaped(a.Target), protocol.Escaped(a.Actor), r.when(&a.Until))
	}
	if len(r.Waiting) == 0 {
		fmt.Fprintln(w, "approvals\tnone wait")
	}
}

// part returns the state of a part with its cause.
func (r *adminReport) part(c *api.Condition) string {
	s := c.State
	if c.Since != nil {
		s += " since " + r.when(c.Since)
	}
	if c.Why != "" {
		s += ": " + c.Why
	}
	return s
}

// when returns a time, and how far it is from the time of the status.
func (r *adminReport) when(t *time.Time) string {
	d := r.Time.Sub(*t).Round(time.Second)
	if d < 0 {
		return fmt.Sprintf("%s (in %s)", stamp(*t), -d)
	}
	return fmt.Sprintf("%s (%s ago)", stamp(*t), d)
}
