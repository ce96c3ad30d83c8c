package nab_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// file is a series of the benchmark.
type file struct {
	name    string
	times   []time.Time
	values  []float64
	windows []window
}

// window holds the first and last row of a labelled window.
type window struct{ from, to int }

// family is the folder of the file.
func (f *file) family() string { return filepath.Dir(f.name) }

const layout = "2006-01-02 15:04:05"

// load reads the benchmark's series and windows, sorted by name.
func load(t *testing.T, dir string) []*file {
	t.Helper()
	var labels map[string][][2]string
	readJSON(t, filepath.Join(dir, "labels", "combined_windows.json"), &labels)
	var files []*file
	for name, windows := range labels {
		f := &file{name: name}
		var texts []string
		for _, line := range readCSV(t, filepath.Join(dir, "data", name))[1:] {
			at, err := time.Parse(layout, line[0])
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, line[0])
			f.times = append(f.times, at)
			f.values = append(f.values, number(t, line[1]))
		}
		for _, w := range windows {
			from, to := slices.Index(texts, strings.TrimSuffix(w[0], ".000000")), slices.Index(texts, strings.TrimSuffix(w[1], ".000000"))
			if from < 0 || to < 0 {
				t.Fatalf("%s: the window %s is not in the series", name, w)
			}
			f.windows = append(f.windows, window{from, to})
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *file) int { return strings.Compare(a.name, b.name) })
	return files
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return lines
}

// publishedRows returns the published scores of a detector's rows, by file.
func publishedRows(t *testing.T, path string) map[string][]float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]float64{}
	for _, line := range lines {
		rows[line[0]] = append(rows[line[0]], number(t, line[1]))
	}
	return rows
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
