package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

//go:generate go test -count=1 -run "^(TestSpecIsCommitted|TestErrorsAreDocumented)$" . -update

// specVersion is the version of the API, not of the software: additive changes
// raise the minor number.
const specVersion = "1.1.0"

const specText = "Events whose contents stay private and whose correctness stays checkable. " +
	"Binary values are base64url without padding and identifiers lower-case hexadecimal, each value with exactly one text. " +
	"Bodies are strict: unknown, repeated and null members are refused, and a body has a Content-Length. " +
	"Every error is a problem document of at most 4096 bytes; switch on its code. " +
	"The exceptions are answers to what is no request of HTTP/1.1, or has too large a header. The HTTP library sends them before any operation is known, " +
	"as a line of text on a connection that it closes: 400 (malformed), 417 (an Expect that is not 100-continue), 431 (header too large), " +
	"501 (a Transfer-Encoding that is not chunked) and 505 (not HTTP/1)."

// tags groups the operations.
var tags = []*huma.Tag{
	{Name: tagPull, Description: "The client proves and keeps its event."},
	{Name: tagPush, Description: "The operator's prover sees the event and proves."},
	{Name: tagReceipts, Description: "What shows an acceptance to anyone, offline."},
	{Name: tagLog, Description: "The public log: its checkpoints, tiles, claims and epochs."},
	{Name: tagService, Description: "The server itself."},
}

// register routes the operations and returns the OpenAPI document that
// describes them. Only huma's description is used.
func (s *Server) register(ops []operation) []byte {
	d := newDescription()
	for _, op := range ops {
		d.add(&op)
		s.mux.HandleFunc(op.method+" "+op.pattern(), func(w http.ResponseWriter, r *http.Request) {
			s.serve(w, r, &op, op.handler)
		})
	}
	return d.document()
}

// apiKey is the name of the security scheme.
const apiKey = "apiKey"

// description gathers the OpenAPI document.
type description struct {
	spec  *huma.OpenAPI
	types huma.Registry
}

func newDescription() *description {
	types := newTypes()
	return &description{
		types: types,
		spec: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Terra Dourada", Version: specVersion, Description: specText,
				Contact: &huma.Contact{Name: "The operator of this server"},
				License: &huma.License{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
			},
			Servers:  []*huma.Server{{URL: "/", Description: "The server that sent this description."}},
			Security: []map[string][]string{{}}, // no credentials, where an operation does not say otherwise
			Tags:     tags,
			Components: &huma.Components{Schemas: types, SecuritySchemes: map[string]*huma.SecurityScheme{apiKey: {
				Type: "http", Scheme: "bearer",
				Description: "An API key, tdk_ and 64 characters. A server that listens on a loopback address only may need none.",
			}}},
		},
	}
}

func (d *description) document() []byte {
	finishTypes(d.types)
	b, err := json.MarshalIndent(d.spec, "", "  ")
	if err != nil {
		panic("server: internal error: the OpenAPI document has no JSON form: " + err.Error())
	}
	return append(b, '\n')
}

func (d *description) add(op *operation) {
	o := &huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path,
		Summary: op.summary, Description: op.text, Tags: []string{op.tag},
		Responses: map[string]*huma.Response{},
	}
	if op.needs != principal.Public {
		o.Security = []map[string][]string{{apiKey: {}}, {}}
		o.Description = strings.TrimSpace(o.Description + " Needs the scope " + op.needs.String() + " where the server asks for keys.")
	}
	for _, p := range op.params {
		o.Parameters = append(o.Parameters, &huma.Param{
			Name: p.name, In: p.in, Description: p.text, Required: p.required, Schema: d.schema(p.value),
		})
	}
	if op.limit > 0 {
		o.RequestBody = d.requestBody(op)
	}
	for _, a := range op.answers {
		o.Responses[strconv.Itoa(a.status)] = d.response(a)
	}
	d.addProblems(o, op.allCodes())
	d.spec.AddOperation(o)
}

func (d *description) schema(value any) *huma.Schema {
	return d.types.Schema(reflect.TypeOf(value), true, "")
}

func (d *description) requestBody(op *operation) *huma.RequestBody {
	b := &huma.RequestBody{
		Required:    true,
		Description: fmt.Sprintf("At most %d bytes.", op.limit),
		Content:     map[string]*huma.MediaType{},
	}
	for _, media := range op.media {
		b.Content[media] = d.content(media, op.body)
	}
	return b
}

// content describes a body: bytes for octets, the type for the rest.
func (d *description) content(media string, value any) *huma.MediaType {
	switch {
	case media == "application/octet-stream":
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	case value == nil && strings.HasPrefix(media, "text/"):
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	case value == nil:
		return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject}}
	default:
		return &huma.MediaType{Schema: d.schema(value)}
	}
}

func (d *description) response(a answer) *huma.Response {
	r := &huma.Response{
		Description: a.text,
		Content:     map[string]*huma.MediaType{a.media: d.content(a.media, a.value)},
	}
	if a.status == http.StatusAccepted {
		r.Headers = map[string]*huma.Header{"Location": {
			Description: "Where the receipt will be.", Schema: &huma.Schema{Type: huma.TypeString},
		}}
	}
	return r
}

// addProblems describes one problem response per status, with its codes.
func (d *description) addProblems(o *huma.Operation, codes []protocol.Code) {
	byStatus := map[int][]any{}
	later := map[int]bool{}
	for _, c := range codes {
		byStatus[rows[c].status] = append(byStatus[rows[c].status], c.String())
		later[rows[c].status] = rows[c].retryAfter > 0
	}
	for status, names := range byStatus {
		o.Responses[strconv.Itoa(status)] = d.problem(names, later[status])
	}
}

func (d *description) problem(names []any, later bool) *huma.Response {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = fmt.Sprint(n)
	}
	narrowed := &huma.Schema{AllOf: []*huma.Schema{
		d.schema(problemDoc),
		{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"code": {Type: huma.TypeString, Enum: names}}},
	}}
	r := &huma.Response{
		Description: strings.Join(texts, ", "),
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: narrowed}},
	}
	if later {
		r.Headers = map[string]*huma.Header{"Retry-After": {
			Description: "Seconds.", Required: true, Schema: &huma.Schema{Type: huma.TypeInteger},
		}}
	}
	return r
}
