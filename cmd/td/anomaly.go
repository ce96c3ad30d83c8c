package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/seriesfile"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

func anomalyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "anomaly",
		Short:   "Run the server's anomaly detectors on files",
		Example: "  td anomaly score --csv requests.csv\n  td anomaly replay events.jsonl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(anomalyScoreCommand(a), anomalyReplayCommand(a))
	return cmd
}

type scoreFlags struct {
	file, plot string
	all        bool
	output     *choice
}

func anomalyScoreCommand(a *app) *cobra.Command {
	f := &scoreFlags{}
	cmd := &cobra.Command{
		Use:   "score --csv FILE",
		Short: "Score the values of one series",
		Long: `Reads a file of rows TIMESTAMP,VALUE and prints a line for each row that is unlike
the rows before it. A score of 1 is the threshold. The settings are those of the
server. The first 150 rows are learned and not scored; a row is a tick, also
after a gap.

Times are RFC 3339, YYYY-MM-DD HH:MM:SS without a zone, read as UTC, or Unix
seconds. The first row may have names; of more than two columns, timestamp and
value are read. The separator is a comma, semicolon or tab, and a decimal comma
is read where the separator is no comma.

Refused with the number of the row: times and numbers that cannot be read, rows
with other columns, and files with the newest row first. Counted in warnings:
NaN, empty values and those beyond 1e150, which are not scored; gaps, repeated times, rows out of
order, changes of zone and of daylight saving, which are.

The exit code is 0 with and without findings.`,
		Example: "  td anomaly score --csv requests.csv\n  td anomaly score --csv requests.csv --plot requests.svg -o json",
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&f.file, "csv", "", "file of the series, or - for standard input")
	cmd.Flags().BoolVar(&f.all, "all", false, "print every row, not findings alone")
	cmd.Flags().StringVar(&f.plot, "plot", "", "SVG file for a picture of values and scores")
	_ = cmd.MarkFlagRequired("csv")
	f.output = outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.score(cmd.Context(), f) }
	return cmd
}

// scoring is a run of td anomaly score.
type scoring struct {
	in       *seriesfile.Reader
	detector *anomaly.SeriesDetector
	out      *bufio.Writer
	plot     *seriesfile.Plot
	flags    *scoreFlags

	rows, findings int
	beyond         int // values too large to be scored
}

func (a *app) score(ctx context.Context, f *scoreFlags) error {
	in, label := io.Reader(&cancelled{ctx, a.stdin}), "standard input"
	if f.file != "-" {
		file, err := fsutil.Open(f.file)
		if err != nil {
			return err
		}
		defer file.Close()
		if f.plot != "" && fsutil.SameFile(f.file, f.plot) {
			return fault.New(fault.Usage, "--plot names the file of the series, which it would replace", "")
		}
		in, label = file, f.file
	}
	set := anomaly.DefaultSeries()
	s := &scoring{
		in:       seriesfile.NewReader(in, label),
		detector: anomaly.NewSeries(set),
		out:      bufio.NewWriter(a.stdout),
		plot:     seriesfile.NewPlot(label),
		flags:    f,
	}
	progress := termui.NewProgress(a.stderr, "auto", "score", time.Now())
	err := s.run(ctx, progress)
	progress.Finish()
	if flushed := s.out.Flush(); err == nil {
		err = flushed
	}
	if s.beyond > 0 {
		a.warn([]string{fmt.Sprintf("%s beyond 1e150, not scored", termui.Count(s.beyond, "value"))})
	}
	a.warn(s.in.Warnings())
	if err != nil {
		return err
	}
	if s.rows <= set.Warmup {
		a.warn([]string{fmt.Sprintf("the first %d rows are learned, and there are no more", set.Warmup)})
	}
	fmt.Fprintf(a.stderr, "%s, %s\n", termui.Count(s.rows, "row"), termui.Count(s.findings, "finding"))
	if f.plot != "" {
		return fsutil.WriteFile(f.plot, s.plot.SVG(), 0o644)
	}
	return nil
}

// run scores the rows. Lines are written when no more input is waiting.
func (s *scoring) run(ctx context.Context, progress *termui.Progress) error {
	for ctx.Err() == nil {
		row, err := s.in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if err := s.add(&row); err != nil {
			return err
		}
		progress.Step(time.Now())
		if s.in.Idle() {
			if err := progress.Print(s.out.Flush); err != nil {
				return err
			}
		}
	}
	return fault.New(fault.Interrupted, "interrupted", "")
}

func (s *scoring) add(row *seriesfile.Row) error {
	r := s.detector.Observe(row.At, row.Value, true)
	finding := r.Finding()
	s.rows++
	if finding {
		s.findings++
	}
	if r.Kind == anomaly.SeriesIgnored && !row.Missing {
		s.beyond++
	}
	s.plot.Add(row.Value, r.Score, finding)
	if finding || s.flags.all {
		return s.print(row, &r)
	}
	return nil
}

// scoreLine is a row in JSON.
type scoreLine struct {
	Row       int      `json:"row"`
	Timestamp string   `json:"timestamp"`
	Value     *float64 `json:"value"` // null without a number
	Score     float64  `json:"score"`
	Finding   bool     `json:"finding"`
	Sentence  string   `json:"sentence"`
}

func (s *scoring) print(row *seriesfile.Row, r *anomaly.SeriesReading) error {
	score := math.Round(1e4*r.Score) / 1e4
	if s.flags.output.value == "json" {
		line := scoreLine{Row: row.Line, Timestamp: row.Timestamp, Value: &row.Value, Score: score, Finding: r.Finding(), Sentence: r.Sentence()}
		if row.Missing {
			line.Value = nil
		}
		b, err := protocol.EncodeJSON(line)
		if err != nil {
			return err
		}
		_, err = s.out.Write(append(b, '\n'))
		return err
	}
	if s.rows == 1 || s.findings == 1 && !s.flags.all {
		if _, err := fmt.Fprintf(s.out, "%-8s %-20s %14s %7s  %s\n", "ROW", "TIMESTAMP", "VALUE", "SCORE", "SENTENCE"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.out, "%-8d %-20s %14.6g %7.2f  %s\n", row.Line, row.Timestamp, row.Value, r.Score, r.Sentence())
	return err
}

// cancelled reads from a terminal or a pipe until its context ends. A read that waits then
// continues alone.
type cancelled struct {
	ctx context.Context
	in  io.Reader
}

// Read reads, or returns why the context ended.
func (c *cancelled) Read(b []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data := make([]byte, len(b))
		n, err := c.in.Read(data)
		done <- result{data[:n], err}
	}()
	select {
	case r := <-done:
		return copy(b, r.data), r.err
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
}
