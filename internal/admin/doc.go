// Package admin is the administration of a running server: HTTP/1.1 with JSON over a Unix
// socket, and [Conn], the client of it.
//
// [Server] knows who asks from the kernel, or from a client certificate where a TCP
// listener is configured. One table, actions, holds every action with the least role that
// may take it. Every request that could change something is a row of the audit before it
// takes effect, also one that is refused; reading leaves no row, so that it works without
// the journal's writer. What stops does not wait for a disk, see package control.
//
// The paths are "/admin/v1/" and the name of the action. Errors are problem documents
// (RFC 9457) as in the public API.
package admin
