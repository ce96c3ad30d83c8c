// Package seriesfile reads files of one series, as monitoring systems export them, and
// draws them with the scores of a detector. It reads in bounded memory.
//
// # Form
//
// A row is a line with a time and a value. The first row may have names; then a file may
// have more columns, of which "timestamp" (or time, date, datetime, ts) and "value" are
// read. The separator is the first semicolon, tab or comma of the first row. Times are
// RFC 3339, YYYY-MM-DD HH:MM:SS without zone, which is read as UTC, or Unix seconds; all
// rows have the form of the first one. A decimal comma is read where the separator is no
// comma.
//
// # What exports contain
//
//   - Refused, with the row: a time or number that cannot be read, another form of time, a
//     row with other columns, a line over 4,096 bytes, a file with the newest row first.
//   - Refused as a whole: an empty file, one without a value, one that is no text.
//   - Counted, and the row is not scored: NaN, infinities, empty and null values.
//   - Counted, and the row is scored: gaps, times that repeat, rows out of order, changes
//     of the zone, clocks that were set back or forward by an hour.
//   - Dropped silently: a byte-order mark, blank lines, carriage returns at line ends.
//
// A row is a tick of the detector, in the order of the file. Gaps are not ticks.
package seriesfile
