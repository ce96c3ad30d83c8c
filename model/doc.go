// Package model checks the protocol's lifecycle with Spin, exhaustively within bounds.
// It has no code, only the model and its tests.
//
//   - request.pml is the life of requests: issue, answer, redeem, verify, commit, publish,
//     with a freeze, a forced end of an epoch, a crash, and an attacker who holds what a run says.
//   - handover.pml is the life of checkpoint keys: rotation, hand-over, and what a
//     verifier believes.
//   - control.pml is freeze and thaw by two people.
//   - step.pml has the transitions of [lifecycle.Step], StepEpoch and StepOpening. The
//     tests of that package generate it and compare it.
//   - expectations.txt names every run, and whether its properties hold or an attack must
//     be found.
//
// Faults are planted by text replacement in a copy of the model: see guards_test.go. The
// copy decides at run time which guards are removed, so each model is compiled once. The
// results stand in docs/security/model.md.
//
// [lifecycle.Step]: https://pkg.go.dev/github.com/terradourada/td/internal/lifecycle#Step
package model
