package server

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/terradourada/td/protocol"
)

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle string

// page is a static page and the content security policy it needs: no script,
// nothing from elsewhere, one style named by its digest.
type page struct {
	body   []byte
	policy string
}

// docsPage writes the page about operations and codes.
func docsPage(ops []operation) page {
	type codeRow struct {
		Code, Title string
		Status      int
		RetryAfter  int
	}
	type opRow struct {
		ID, Method, Path, Summary, Text string
		Limit                           int64
		Media                           []string
		Answers                         []answerRow
		Codes                           []protocol.Code
	}
	var view struct {
		Style template.CSS
		Ops   []opRow
		Codes []codeRow
	}
	view.Style = template.CSS(docsStyle) //nolint:gosec // our own embedded file
	for _, op := range ops {
		view.Ops = append(view.Ops, opRow{
			op.id, op.method, op.path, op.summary, op.text, op.limit, op.media, answerRows(op.answers), op.allCodes(),
		})
	}
	for _, c := range protocol.Codes() {
		view.Codes = append(view.Codes, codeRow{c.String(), rows[c].title, rows[c].status, rows[c].retryAfter})
	}
	var b bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsTemplate)).Execute(&b, view); err != nil {
		panic("server: internal error: the page about the operations: " + err.Error())
	}
	return page{b.Bytes(), docsPolicy()}
}

type answerRow struct {
	Status      int
	Reason      string
	Text, Media string
}

func answerRows(answers []answer) []answerRow {
	list := make([]answerRow, len(answers))
	for i, a := range answers {
		list[i] = answerRow{a.status, http.StatusText(a.status), a.text, a.media}
	}
	return list
}

func docsPolicy() string {
	sum := sha256.Sum256([]byte(docsStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
