// Package gate is the machine: Open, Prove and Accept. It owns the order of
// section 10 of docs/spec/td-1.md and declares the small interfaces it needs of
// the organs around it.
package gate
