// Package claim knows what can be proved about an event, and proves and
// verifies it.
package claim
