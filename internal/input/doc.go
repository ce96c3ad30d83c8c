// Package input reads the events of a file or of standard input.
//
// Events are JSON objects in UTF-8: one in the whole input, or one on each line. A
// byte-order mark at the start is dropped. It is read by line if the file's name ends in
// .jsonl or .ndjson, or if the first line that is not blank is a whole JSON value. Then the
// first event is returned when its line has ended. Inputs of another format are refused as
// a whole, in one sentence with the command that converts them.
//
// # CSV
//
// With [Options].CSV the first row has the names, and each further row is an event: an
// object with one member for each column. The mapping depends on the file, the claim and
// the flags alone:
//
//   - The separator is the first semicolon, tab or comma in the first row outside of quotes.
//   - Blanks around a name are dropped. Names must not be empty or stand twice.
//   - A field is a text as it stands, its line ends as \n.
//   - A field is a number if a pointer of [Options].Numbers or NumbersFromText names its
//     column. Blanks around it and a plus sign are dropped; with [Options].DecimalComma its
//     comma is a point, and a point is refused. The rest must be a JSON number.
//   - Blank lines are skipped. A row with another number of fields is refused.
//
// The rest follows encoding/csv, which reads RFC 4180.
package input
