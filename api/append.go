package api

import (
	"encoding"
	"errors"
	"strconv"

	"github.com/terradourada/td/protocol"
)

// AppendJSON appends a challenge that has public inputs as encoding/json
// would write it, at a third of the cost. Challenges are by far the most
// frequent answer.
func (c *Challenge) AppendJSON(b []byte) ([]byte, error) {
	a := appender{b: append(b, '{')}
	a.member("request_id", &c.RequestID)
	a.member("payload", &c.Payload)
	a.member("anchor", &c.Anchor)
	a.member("tag", &c.Tag)
	a.name("public_inputs")
	a.b = append(a.b, '[')
	for i := range c.PublicInputs {
		a.text(&c.PublicInputs[i])
	}
	a.b = append(a.b, ']')
	a.member("client_salt", &c.ClientSalt)
	a.member("expires_at", &c.ExpiresAt)
	return append(a.b, '}'), a.err
}

// AppendJSON appends a problem as encoding/json would write it without the escapes for
// HTML. Under overload a problem is the most frequent answer, so it must cost little.
func (p *Problem) AppendJSON(b []byte) ([]byte, error) {
	a := appender{b: append(b, '{')}
	a.words("type", p.Type)
	a.words("title", p.Title)
	a.name("status")
	a.b = strconv.AppendInt(a.b, int64(p.Status), 10)
	a.words("code", p.Code.String())
	if p.Detail != "" {
		a.words("detail", p.Detail)
	}
	if p.RequestID != nil {
		a.member("request_id", p.RequestID)
	}
	a.name("retryable")
	a.b = strconv.AppendBool(a.b, p.Retryable)
	return append(a.b, '}'), a.err
}

// appender writes the members of an object. It keeps the first error.
type appender struct {
	b   []byte
	err error
}

// member writes a text that needs no escapes.
func (a *appender) member(name string, v encoding.TextAppender) {
	a.name(name)
	a.text(v)
}

func (a *appender) name(name string) {
	a.comma()
	a.b = append(append(append(a.b, '"'), name...), '"', ':')
}

func (a *appender) text(v encoding.TextAppender) {
	a.comma()
	a.b = append(a.b, '"')
	b, err := v.AppendText(a.b)
	if err != nil {
		a.err = errors.Join(a.err, err)
		return
	}
	b = append(b, '"')
	a.b = b
}

// words writes a text that may need escapes.
func (a *appender) words(name, text string) {
	a.name(name)
	if plain(text) {
		a.b = append(append(append(a.b, '"'), text...), '"')
		return
	}
	escaped, err := protocol.EncodeJSON(text)
	a.b, a.err = append(a.b, escaped...), errors.Join(a.err, err)
}

// plain reports whether a text is the same between the quotes of JSON.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// comma writes a comma, except at the start of an object or array.
func (a *appender) comma() {
	switch a.b[len(a.b)-1] {
	case '{', '[', ':':
	default:
		a.b = append(a.b, ',')
	}
}
