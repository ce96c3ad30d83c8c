package rules

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/terradourada/td/protocol"
)

// Proposal holds parameters that sample events satisfy.
type Proposal struct {
	Params []byte   // JSON as people write it
	Notes  []string // what a person should know before they use them
}

// Propose proposes parameters of a claim other than group/1 from sample events
// in canonical form. At are the pointers to use: for the record claims first the
// one to the claimed field. Without any, Propose chooses. Every sample satisfies
// the result. An error with code malformed_request explains why nothing fits.
func Propose(ctx context.Context, id ID, samples [][]byte, at []string) (*Proposal, error) {
	s := sampler{id: id}
	for _, raw := range samples {
		if err := CheckEvent(raw); err != nil {
			return nil, err
		}
		s.events = append(s.events, raw)
	}
	if len(s.events) == 0 {
		return nil, noProposal("there is no sample event")
	}
	err := s.choose(at)
	if err == nil {
		err = s.fill()
	}
	if err == nil {
		err = s.check(ctx)
	}
	if err != nil {
		return nil, err
	}
	return &Proposal{Params: []byte(s.params), Notes: s.notes}, nil
}

func noProposal(format string, args ...any) error {
	return Explained(Malformed("no parameters fit the samples"), func() string { return fmt.Sprintf(format, args...) })
}

// column is what all samples have at one pointer: one value each, or the
// elements of an array of numbers.
type column struct {
	at     pointer
	values []value
	width  int // numbers of the sample that has the most
}

func (c *column) numeric() bool {
	return !slices.ContainsFunc(c.values, func(v value) bool { return !v.isNumber() })
}

// distinct returns the different values, in the order of the samples.
func (c *column) distinct() []value {
	var all []value
	seen := map[string]bool{}
	for _, v := range c.values {
		if !seen[string(v)] {
			seen[string(v)] = true
			all = append(all, v)
		}
	}
	return all
}

func (c *column) numerals(bits int) []numeral {
	all := make([]numeral, 0, len(c.values))
	for _, v := range c.values {
		if v.isNumber() {
			all = append(all, numeral{c.at.String(), string(v), bits})
		}
	}
	return all
}

// ends returns the least and the greatest number.
func (c *column) ends() (least, greatest value) {
	scale := 0
	for _, v := range c.values {
		scale = max(scale, places(string(v)))
	}
	var low, high *big.Int
	for _, v := range c.values {
		u, _ := units(string(v), scale)
		if low == nil || u.Cmp(low) < 0 {
			low, least = u, v
		}
		if high == nil || u.Cmp(high) > 0 {
			high, greatest = u, v
		}
	}
	return least, greatest
}

// sampler finds parameters for events.
type sampler struct {
	id      ID
	events  []value
	columns []column // candidates, then those that were chosen
	given   bool     // the first column was asked for
	params  string
	notes   []string
}

// record reports whether the claim is about one field of a record.
func (s *sampler) record() bool {
	return s.id == RecordRange || s.id == RecordEquals || s.id == RecordOneOf
}

// choose fills columns with the given pointers, or with all that every sample has.
func (s *sampler) choose(at []string) error {
	for _, text := range at {
		p, ok := parsePointer(text)
		if !ok {
			return noProposal("%s is not %s", protocol.Escaped(Cut(text)), pointerForm(text))
		}
		c, why := s.column(p)
		if why != "" {
			return noProposal("%s", why)
		}
		s.columns = append(s.columns, c)
	}
	s.given = len(at) > 0
	if len(at) > 1 || len(at) == 1 && !s.record() {
		return nil
	}
	s.walk(nil, s.events[0])
	return nil
}

// walk adds a column for every place in the first event that all others have.
func (s *sampler) walk(at pointer, v value) {
	taken := func(c column) bool { return slices.Equal(c.at, at) }
	if c, why := s.column(at); why == "" && len(at) > 0 && !slices.ContainsFunc(s.columns, taken) {
		c.at = slices.Clone(at)
		s.columns = append(s.columns, c)
		return
	}
	switch v.kind() {
	case '{':
		for literal, m := range v.members() {
			name, _ := literal.text()
			s.walk(append(at, name), m)
		}
	case '[':
		i := 0
		for item := range v.items() {
			s.walk(append(at, strconv.Itoa(i)), item)
			i++
		}
	}
}

// column reads a pointer in all samples.
func (s *sampler) column(p pointer) (column, string) {
	c := column{at: p}
	for i, event := range s.events {
		v, ok := p.resolve(event)
		if !ok {
			return c, fmt.Sprintf("%s: sample %d has no such value", p, i+1)
		}
		values := []value{v}
		if v.kind() == '[' && !s.record() {
			values = slices.Collect(v.items())
		}
		for _, v := range values {
			if v.kind() == '{' || !s.record() && !v.isNumber() {
				return c, fmt.Sprintf("%s: sample %d has %s there, and the claim does not take it", p, i+1, v.typeName())
			}
		}
		c.values, c.width = append(c.values, values...), max(c.width, len(values))
	}
	if c.width == 0 {
		return c, fmt.Sprintf("%s: no sample has a value there", p)
	}
	return c, ""
}

// fill makes the parameters.
func (s *sampler) fill() error {
	switch s.id {
	case Open:
		s.params = "{}"
		return nil
	case Range:
		return s.fillRange()
	case Sum:
		return s.fillSum()
	case Group:
		return noProposal("%s needs a secret and a list, which no sample has", Group)
	case SeriesRange:
		return noProposal("%s has no proposals", SeriesRange)
	case RecordRange, RecordEquals, RecordOneOf:
	}
	return s.fillRecord()
}

// fitted chooses of the columns those that fit together into slots.
func (s *sampler) fitted(rule scaling, slots int) (fit, error) {
	var f fit
	var chosen []column
	var all []numeral
	var left []string
	width, last := 0, ""
	for _, c := range s.columns {
		with := append(slices.Clone(all), c.numerals(RangeBits)...)
		next, why := rule.fitting(with, 0)
		if why == "" && width+c.width > slots {
			why = fmt.Sprintf("a receipt of %s holds %d numbers", s.id, slots)
		}
		switch {
		case why != "" && s.given:
			return f, noProposal("%s does not fit: %s", c.at, why)
		case why != "":
			left, last = append(left, c.at.String()), why
			continue
		}
		f, all, width, chosen = next, with, width+c.width, append(chosen, c)
	}
	switch {
	case len(chosen) == 0 && last == "":
		return f, noProposal("no pointer holds a number in every sample")
	case len(chosen) == 0:
		return f, noProposal("nothing fits: %s", last)
	case len(left) > 0:
		s.note("left out: %s (%s); --pointer chooses", Cut(strings.Join(left, ", ")), last)
	}
	s.columns = chosen
	return f, nil
}

func (s *sampler) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// noteBounds says what bounds out of samples are worth.
func (s *sampler) noteBounds() {
	s.note("lo and hi are the least and the greatest of the samples: a guess, to be edited")
	s.note("agree on lo and hi with those who verify before the first receipt; bounds chosen afterwards fit any value and show nothing")
}

func (s *sampler) fillRange() error {
	f, err := s.fitted(scaling{}, RangeSlots)
	if err != nil {
		return err
	}
	var entries []string
	for _, c := range s.columns {
		lo, hi := c.ends()
		entries = append(entries, fmt.Sprintf(`{"at":%s,"lo":%s,"hi":%s}`, c.at.literal(), lo, hi))
	}
	s.params = fmt.Sprintf(`{"values":[%s],"scale":%d,"offset":%d}`, strings.Join(entries, ","), f.scale, f.offset())
	s.noteBounds()
	return nil
}

func (s *sampler) fillSum() error {
	f, err := s.fitted(scaling{noOffset: true}, SumSlots)
	if err != nil {
		return err
	}
	var at []string
	for _, c := range s.columns {
		at = append(at, c.at.literal())
	}
	var low, high *big.Int
	for _, event := range s.events {
		sum := new(big.Int)
		for _, c := range s.columns {
			v, _ := c.at.resolve(event)
			numbers := []value{v}
			if v.kind() == '[' {
				numbers = slices.Collect(v.items())
			}
			for _, v := range numbers {
				u, _ := units(string(v), f.scale)
				sum.Add(sum, u)
			}
		}
		if low == nil || sum.Cmp(low) < 0 {
			low = sum
		}
		if high == nil || sum.Cmp(high) > 0 {
			high = sum
		}
	}
	s.params = fmt.Sprintf(`{"at":[%s],"lo":%s,"hi":%s,"scale":%d}`, strings.Join(at, ","), decimalText(low, f.scale), decimalText(high, f.scale), f.scale)
	s.noteBounds()
	return nil
}

// fillRecord claims the field that was given, or the first one that fits.
func (s *sampler) fillRecord() error {
	last := "no field is in every sample"
	candidates := s.columns
	if s.given {
		candidates = candidates[:1]
	}
	for _, inapt := range []bool{false, true} {
		for i, c := range candidates {
			f, why := s.claimable(c)
			if why == "" && (inapt || s.apt(c)) {
				s.writeRecord(i, f)
				return nil
			}
			last = why
		}
	}
	return noProposal("nothing fits: %s", last)
}

// apt reports whether a claim about a column says something: a list of one value
// does not, and few numbers seldom are a list.
func (s *sampler) apt(c column) bool {
	return s.id != RecordOneOf || !c.numeric() && len(c.distinct()) > 1
}

// claimable returns the fit of a claimed field, or why the claim cannot be about it.
func (s *sampler) claimable(c column) (fit, string) {
	distinct := len(c.distinct())
	switch {
	case slices.ContainsFunc(c.values, func(v value) bool { return v.kind() == '[' }):
		return fit{}, c.at.String() + " is an array, and the claim is about a number, a text, true, false or null"
	case s.id == RecordRange && !c.numeric():
		return fit{}, c.at.String() + " is not a number in every sample"
	case s.id == RecordEquals && distinct > 1:
		return fit{}, fmt.Sprintf("%s has %d different values in the samples; %s takes up to %d", c.at, distinct, RecordOneOf, OneOfValues)
	case s.id == RecordOneOf && distinct > OneOfValues:
		return fit{}, fmt.Sprintf("%s has %d different values in the samples, and the claim takes %d", c.at, distinct, OneOfValues)
	}
	numbers := c.numerals(RecordBits)
	if len(numbers) == 0 {
		return fit{}, ""
	}
	return scaling{}.fitting(numbers, 0)
}

// writeRecord writes parameters about column i in a record of at most eight.
func (s *sampler) writeRecord(i int, f fit) {
	claimed := s.columns[i]
	if len(s.columns) > RecordFields {
		s.note("the record has %d of the %d fields that all samples have; --pointer for each chooses them", RecordFields, len(s.columns))
		s.columns = s.columns[:RecordFields]
		if i = min(i, RecordFields-1); i == RecordFields-1 {
			s.columns[i] = claimed
		}
	}
	var schema, values []string
	for _, c := range s.columns {
		schema = append(schema, c.at.literal())
	}
	for _, v := range claimed.distinct() {
		values = append(values, string(v))
	}
	var claim string
	switch s.id {
	case RecordRange:
		lo, hi := claimed.ends()
		claim = fmt.Sprintf(`"lo":%s,"hi":%s`, lo, hi)
		s.noteBounds()
	case RecordEquals:
		claim = `"value":` + values[0]
	default:
		claim = fmt.Sprintf(`"values":[%s]`, strings.Join(values, ","))
		s.note("values are those of the samples: a guess, to be edited and agreed on with those who verify")
	}
	s.note("the claim is about %s; the other fields stay hidden", claimed.at)
	s.params = fmt.Sprintf(`{"schema":[%s],"field":%d,%s,"scale":%d,"offset":%d}`, strings.Join(schema, ","), i, claim, f.scale, f.offset())
}

// check applies the rule of the claim to every sample.
func (s *sampler) check(ctx context.Context) error {
	for i, event := range s.events {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.holds(event); err != nil {
			why := protocol.DetailOf(err)
			var r *Refusal
			if errors.As(err, &r) {
				why = r.Explain()
			}
			return noProposal("nothing fits sample %d: %s", i+1, why)
		}
	}
	return nil
}

func (s *sampler) holds(event value) error {
	jcs, err := Canonicalize([]byte(s.params))
	if err != nil {
		return err
	}
	p, err := Parse(s.id, writeOut(s.id, jcs, event, protocol.MaxJSONDepth), nil)
	if err != nil {
		return err
	}
	if err := p.rule.encodes(event); err != nil {
		return err
	}
	if why := p.rule.Falsity(event); why != "" {
		return Explained(protocol.Fail(protocol.CodeStatementFalse, "the private values do not satisfy the claim"), func() string { return why })
	}
	return nil
}
