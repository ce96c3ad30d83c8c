package seriesfile

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Plot draws a series and the scores of its rows as SVG. It keeps at most 800 columns:
// when it has more, two become one.
type Plot struct {
	title   string
	columns []column
	width   int // rows in a column
	rows    int
	windows []span
}

// column is what adjacent rows have in common.
type column struct {
	low, high float64 // values; NaN without any
	score     float64 // the highest
	finding   bool
}

type span struct{ from, to int }

const mostColumns = 800

// NewPlot returns an empty plot.
func NewPlot(title string) *Plot { return &Plot{title: title, width: 1} }

// Add adds the next row. A row without a number is NaN.
func (p *Plot) Add(value, score float64, finding bool) {
	if p.rows%p.width == 0 {
		if len(p.columns) == mostColumns {
			p.halve()
		}
		if p.rows%p.width == 0 {
			p.columns = append(p.columns, column{low: math.NaN(), high: math.NaN()})
		}
	}
	c := &p.columns[len(p.columns)-1]
	*c = c.join(column{value, value, score, finding})
	p.rows++
}

// Window marks rows, counted from 0.
func (p *Plot) Window(from, to int) { p.windows = append(p.windows, span{from, to}) }

func (p *Plot) halve() {
	for i := range mostColumns / 2 {
		p.columns[i] = p.columns[2*i].join(p.columns[2*i+1])
	}
	p.columns, p.width = p.columns[:mostColumns/2], 2*p.width
}

func (c column) join(with column) column {
	return column{lesser(c.low, with.low), -lesser(-c.high, -with.high), max(c.score, with.score), c.finding || with.finding}
}

// lesser returns the lesser number of two that may be NaN.
func lesser(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

// Sizes in pixels. Values are drawn above scores.
const (
	plotWidth, plotHeight = 860, 330
	plotLeft, plotRight   = 70, 845
	valueTop, valueBottom = 34, 220
	scoreTop, scoreBottom = 240, 312
	mostScore             = 3 // drawn at the top
)

// SVG returns the picture.
func (p *Plot) SVG() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif" font-size="11" fill="#24292f">
<rect width="%d" height="%d" fill="#f6f8fa"/>
<text x="%d" y="20" font-size="13">%s</text>
`, plotWidth, plotHeight, plotWidth, plotHeight, html.EscapeString(p.title), plotWidth, plotHeight, plotLeft, html.EscapeString(p.title))
	for _, w := range p.windows {
		fmt.Fprintf(&b, "<rect x=\"%.0f\" y=\"%d\" width=\"%.0f\" height=\"%d\" fill=\"#e69f00\" fill-opacity=\"0.25\"/>\n", p.x(w.from), valueTop, max(1, p.x(w.to)-p.x(w.from)), scoreBottom-valueTop)
	}
	p.drawValues(&b)
	p.drawScores(&b)
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// x returns where a row is.
func (p *Plot) x(row int) float64 {
	return plotLeft + (plotRight-plotLeft)*float64(row)/float64(max(1, p.rows-1))
}

func (p *Plot) drawValues(b *strings.Builder) {
	low, high := math.NaN(), math.NaN()
	for _, c := range p.columns {
		low, high = lesser(low, c.low), -lesser(-high, -c.high)
	}
	if math.IsNaN(low) {
		return
	}
	if high-low == 0 {
		low, high = low-1, high+1
	}
	y := func(v float64) float64 {
		return valueBottom - (valueBottom-valueTop)*(v/(high-low)-low/(high-low))
	}
	var path, found strings.Builder
	verb := "M"
	for i, c := range p.columns {
		if math.IsNaN(c.low) {
			verb = "M"
			continue
		}
		x := p.x(i * p.width)
		fmt.Fprintf(&path, "%s%.0f %.0f", verb, x, y(c.low))
		if verb = "L"; c.high > c.low {
			fmt.Fprintf(&path, "L%.0f %.0f", x, y(c.high))
		}
		if c.finding {
			fmt.Fprintf(&found, "<circle cx=\"%.0f\" cy=\"%.0f\" r=\"4\" fill=\"#d55e00\"/>\n", x, y(c.high))
		}
	}
	fmt.Fprintf(b, "<path d=\"%s\" fill=\"none\" stroke=\"#0072b2\"/>\n%s", &path, &found)
	label(b, valueTop+8, strconv.FormatFloat(high, 'g', 4, 64))
	label(b, valueBottom, strconv.FormatFloat(low, 'g', 4, 64))
}

func (p *Plot) drawScores(b *strings.Builder) {
	y := func(score float64) float64 {
		return scoreBottom - (scoreBottom-scoreTop)*min(score, mostScore)/mostScore
	}
	var path strings.Builder
	for i, c := range p.columns {
		if c.score > 0.05 {
			fmt.Fprintf(&path, "M%.0f %dV%.0f", p.x(i*p.width), scoreBottom, y(c.score))
		}
	}
	fmt.Fprintf(b, "<path d=\"%s\" fill=\"none\" stroke=\"#009e73\"/>\n", &path)
	fmt.Fprintf(b, "<path d=\"M%d %.0fH%d\" stroke=\"#d55e00\" stroke-dasharray=\"4 3\"/>\n", plotLeft, y(1), plotRight)
	label(b, y(1)+4, "score 1")
}

func label(b *strings.Builder, y float64, text string) {
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%s</text>\n", plotLeft-6, y, html.EscapeString(text))
}
