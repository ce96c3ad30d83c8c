package metrics

import (
	"fmt"
	"strings"
)

// referenceHead begins the reference.
const referenceHead = `# Metrics

Written by "make docs" from the table in internal/telemetry/metrics. The ops listener
(` + "`td serve --ops 127.0.0.1:9480`" + `) answers GET /metrics in the formats of Prometheus.

Every series is there from the start. No event adds one: a value that a label does not
list is counted under the last one, which is "none" or "other" where there may be such
values. No label holds an address, a client, a key or the id of a request. Histograms have
native buckets beside the classic ones. Metrics of the Go runtime (go_) and of the process
(process_) are served too.

| metric | type | labels | meaning |
|---|---|---|---|
`

// Reference returns the documentation of the metrics.
func Reference(l Labels) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	rows, values := table(l), map[string][]string{}
	var order []string
	for i := range rows {
		m := &rows[i]
		var labels []string
		for _, l := range m.labels {
			labels = append(labels, "`"+l.name+"`")
			if list := describe(l); values[l.name] == nil {
				order = append(order, l.name)
				values[l.name] = []string{list}
			} else if values[l.name][0] != list {
				values[l.name] = append(values[l.name], fmt.Sprintf("of `%s`: %s", m.name, list))
			}
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", Prefix, m.name, kindText[m.kind], strings.Join(labels, ", "), m.help)
	}
	b.WriteString("\n## Values of the labels\n\n")
	for _, name := range order {
		for _, list := range values[name] {
			fmt.Fprintf(&b, "* `%s` %s\n", name, list)
		}
	}
	return b.String()
}

// describe returns the values of a label in words.
func describe(l label) string {
	switch l.name {
	case "version", "go_version":
		return "the one that runs"
	case "rule":
		return "the rules of alerts"
	}
	return "`" + strings.Join(l.values, "`, `") + "`"
}
