// Package nab evaluates [anomaly.SeriesDetector] on the Numenta Anomaly Benchmark, an open
// collection of 58 series with 116 labelled windows. The package has tests only.
//
// # Scorer
//
// The rules are those of the benchmark. The first 15 % of a series, at most 750 rows, are
// probation and do not count. A window is worth what its best row at or above the threshold
// is worth: a scaled sigmoid, from 1 at the left edge of the window to 0 at its right edge.
// A window without such a row costs 1, or 2 in the profile that rewards few false negatives.
// A row at or above the threshold outside of windows costs up to 0.11, or 0.22 in the
// profile that rewards few false positives, and less just behind a window. One threshold
// holds for all series. 0 is what a detector without a verdict scores, 100 a perfect one.
//
// The scorer is verified on three detectors: the final scores that were published for them
// follow, within 0.2, from the scores of rows and the thresholds that were published.
//
// # Evaluation
//
// TestNAB scores the shipped settings, which hold for all files, with the shipped threshold,
// and with the threshold that is best for the profile, as detectors of the benchmark are
// scored. Two figures say how much of that is fitted to the files:
//
//   - split half: settings and threshold are chosen on one half of the files and scored on
//     the other, both ways. The settings are the shipped ones with the half-lives of level
//     and scale, that of records, and the slack varied: halved, kept, doubled, or slack 1,
//     1.5, 2. Every second file of the sorted list belongs to the second half.
//   - families: the threshold is chosen on all files but those of one folder, and scored on
//     that folder.
//
// make nab runs it. The figures are frozen in testdata/results.json, from which the section
// of docs/anomaly-results.md is generated; UPDATE=1 freezes new ones.
package nab
