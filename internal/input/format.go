package input

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/terradourada/td/internal/fault"
)

// convert is a format that a command converts. The command reads the file that %s names.
type convert struct{ start, is, command string }

// formats are recognised by their first bytes, longer starts before shorter ones.
var formats = []convert{
	{"\x1f\x8b", "compressed with gzip", "gunzip -c %s"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "zstd -dc %s"},
	{"\xfd7zXZ\x00", "compressed with xz", "xz -dc %s"},
	{"BZh", "compressed with bzip2", "bzip2 -dc %s"},
	{"PK\x03\x04", "a ZIP archive", "unzip -p %s"},
	{"\xff\xfe\x00\x00", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 %s"},
	{"\x00\x00\xfe\xff", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 %s"},
	{"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 %s"},
	{"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 %s"},
	{"\x00", "text in UTF-16", "iconv -f UTF-16BE -t UTF-8 %s"},
	{"\x1e", "a sequence of JSON texts (RFC 7464)", `tr -d '\036' < %s | jq -c .`},
}

// senml turns a SenML pack (RFC 8428) into records that stand alone.
const senml = `foreach .[] as $r ({}; .+$r|with_entries(select(.key|test("^b[ntuvs]$"))); ` +
	`. as $b|$r|.n=$b.bn+.n|.t=$b.bt+.t|.u=(.u//$b.bu)|.s=$b.bs+.s|` +
	`if has("vs") or has("vb") or has("vd") then . else .v=$b.bv+.v end|` +
	`with_entries(select(.value!=null and (.key|test("^b(n|t|u|v|s|ver)$")|not))))`

// encoded returns a fault if the head of an input is not text in UTF-8, or not JSON alone.
func (r *Reader) encoded(head []byte) error {
	for _, f := range formats {
		if bytes.HasPrefix(head, []byte(f.start)) {
			return r.convert("is "+f.is, f.command, "")
		}
	}
	if len(head) > 1 && head[1] == 0 {
		return r.convert("is text in UTF-16", "iconv -f UTF-16LE -t UTF-8 %s", "")
	}
	return nil
}

// foreign returns a fault if the head of an input is no event, but of another format.
func (r *Reader) foreign(head []byte) error {
	if err := r.encoded(head); err != nil {
		return err
	}
	text := bytes.TrimLeft(head, blanks)
	switch {
	case len(text) == 0:
		return fault.New(fault.Usage, r.label+" is empty", "an event is a JSON object")
	case text[0] == '[':
		return r.array(text)
	case text[0] == '{':
		return r.several(text)
	}
	return r.noObject(text)
}

// convert refuses the input and says how it is converted.
func (r *Reader) convert(what, command, note string) error {
	return fault.New(fault.Usage, r.label+" "+what, fmt.Sprintf("%s | %s%s", strings.Replace(command, "%s", r.file(), 1), r.opt.Command, note))
}

// file returns the name for a command line, or FILE if a shell could read it otherwise.
func (r *Reader) file() string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+-"
	name := r.opt.Name
	if strings.HasPrefix(name, "-") || len(name) > 100 || strings.Trim(name, plain) != "" {
		return "FILE"
	}
	return name
}

// array refuses an array. One whose first record has a base field is a SenML pack.
func (r *Reader) array(text []byte) error {
	var first map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err == nil && dec.Decode(&first) == nil {
		for _, base := range []string{"bn", "bt", "bu", "bv", "bs", "bver"} {
			if first[base] != nil {
				return r.convert("is a SenML pack, a JSON array whose base fields hold for the records after them", "jq -c '"+senml+"' %s",
					"; this puts bn before n, adds bt to t, bv to v and bs to s, copies bu to u, and drops the base fields")
			}
		}
	}
	return r.convert("is a JSON array, and an event is an object", "jq -c '.[]' %s", "; this makes an event of each element as it stands")
}

// several refuses JSON texts that do not stand one on each line.
func (r *Reader) several(text []byte) error {
	if isLines(text) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(new(json.RawMessage))
	first, rest := text[:dec.InputOffset()], text[dec.InputOffset():]
	if err == nil && (len(bytes.TrimSpace(rest)) > 0 || r.lines && bytes.IndexByte(first, '\n') >= 0) {
		return r.convert("holds JSON objects that do not stand one on each line", "jq -c . %s", "")
	}
	return nil
}

// noObject refuses CSV, XML, and JSON texts that are no objects.
func (r *Reader) noObject(text []byte) error {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case text[0] == '<':
		return fault.New(fault.Usage, r.label+" is XML or HTML", "an event is a JSON object")
	case json.Valid(line):
		return fault.New(fault.Usage, r.label+" begins with a JSON value that is no object", "an event is a JSON object")
	case r.csvName() || bytes.ContainsAny(line, ",;\t"):
		return fault.New(fault.Usage, r.label+" is not JSON and looks like CSV", "--csv reads it; its first row must have the names of the columns")
	}
	return nil
}
