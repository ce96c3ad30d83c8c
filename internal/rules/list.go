package rules

import (
	"bytes"
	"encoding/json"
	"unicode"
	"unicode/utf8"

	"github.com/terradourada/td/protocol"
)

// maxNameSize bounds the name of an electorate, in bytes.
const maxNameSize = 128

// ReadList reads a list file of up to size bytes: strict JSON with the members name and
// members, in any layout. A longer one is refused with code too_large, anything else with
// malformed_request. Parse reads one member. The list is not checked, see [CheckList].
func ReadList[M any](file []byte, size int, parse func(text string) (M, error)) (name string, members []M, err error) {
	var f struct {
		Name    string   `json:"name"`
		Members []string `json:"members"`
	}
	if err := protocol.DecodeStrict(file, protocol.JSONLimits{Size: size}, &f); err != nil {
		return "", nil, err
	}
	members = make([]M, len(f.Members))
	for i, text := range f.Members {
		if members[i], err = parse(text); err != nil {
			return "", nil, err
		}
	}
	return f.Name, members, nil
}

// CheckList refuses with code malformed_request a bad name, no member or more than most,
// and members that are not sorted or not all different. Check refuses a single one.
func CheckList[M ~[protocol.DigestSize]byte](name string, members []M, most int, check func(member []byte) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(members) < 1 || len(members) > most {
		return protocol.Failf(protocol.CodeMalformedRequest, "list does not have 1 to %d members", most)
	}
	for i := range members {
		if err := check(members[i][:]); err != nil {
			return err
		}
		if i > 0 && CompareMembers(members[i-1], members[i]) >= 0 {
			return Malformed("members are not sorted or not all different")
		}
	}
	return nil
}

// CompareMembers is the order of the members of a list.
func CompareMembers[M ~[protocol.DigestSize]byte](a, b M) int { return bytes.Compare(a[:], b[:]) }

// EncodeList is the list file, with a newline at the end. Members are written as texts.
func EncodeList[M any](name string, members []M) []byte {
	b, err := json.Marshal(struct {
		Name    string `json:"name"`
		Members []M    `json:"members"`
	}{name, members})
	if err != nil {
		panic("rules: internal error: list cannot be encoded")
	}
	return append(b, '\n')
}

// checkName refuses a name that is empty, longer than 128 bytes, not UTF-8 or
// not printable.
func checkName(name string) error {
	if name == "" || len(name) > maxNameSize || !utf8.ValidString(name) || !printable(name) {
		return protocol.Failf(protocol.CodeMalformedRequest, "name is not 1 to %d bytes of printable text", maxNameSize)
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
