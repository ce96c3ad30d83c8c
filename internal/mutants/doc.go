// Package mutants holds no code, only tests: they remove every guard of the packages that
// decide, one at a time, and want a test to fail.
//
// A guard is found in the source, not listed. It is
//
//   - the condition of an if, or of a case of a switch, whose body refuses;
//   - the default of a switch that refuses, if statements follow the switch;
//   - the error made in the last statement of a function that can return before, or in
//     the default of its last switch.
//
// A body refuses if it ends with a return of an error, of a protocol code other than none,
// of false as a result named ok, or of an event of the lifecycle that ends a request; if
// the last thing it does is to make an error or to record a failed step; or if it sets the
// verdict of a report. In the lifecycle, whose functions are transition tables, every
// condition of an if or of a case counts. Each operand of an or is a guard of its own. Of an
// and, the whole is one.
//
// An error that is only passed on is a guard as well. Left out is the one of connecting to
// the database and of reading a row of it, calls that end in connect() or begin with
// rows.Scan.
//
// A removed condition is false, a removed default does nothing, and a removed error is nil.
// Not covered are facts that are computed without a branch, such as those that the gate
// hands to the lifecycle, conditions that are too strict, and the text and code of a
// refusal.
//
// Every package is built once, from a copy of its files in which each guard has a switch.
// A run of each test without a mutant records the guards that stopped something in it. Only
// those tests can notice that the guard is gone, so each mutant runs these alone, the
// fastest first.
package mutants
