// Package api holds the request, response and problem types of the HTTP API
// under /v1, shared by the server and its clients.
//
// They are plain structs. Values of the protocol have types of their own, which
// write themselves as text: identifiers in lower-case hexadecimal, all else in
// base64url without padding (docs/spec/td-1.md, section 3). A member without
// omitempty or omitzero in its tag is required; unknown members, repeated
// members and null are refused everywhere. Receipts and openings travel as raw
// JSON, so that their bytes reach the package that verifies them unchanged.
//
// The doc tags are the descriptions of docs/openapi.json.
package api
