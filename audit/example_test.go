package audit_test

import (
	"context"
	"fmt"
	"os"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/testdata/logtest"
)

// An auditor got a copy of a log. They hold no record of it, so they ask only whether
// it keeps its rules.
func Example() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	log := logtest.New()
	epoch := log.Epochs[0]
	log.Write(dir, epoch)

	source, options := client.NewLogDir(dir), audit.Options{AllowSelfAsserted: true}
	report, err := audit.Run(context.Background(), source, options)
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Origin, report.Size, report.Leaves)
	fmt.Println(report.Verdict, report.Identity)

	// The log opens the same epoch again.
	log.Add(epoch.Open)
	log.Write(dir, epoch)
	report, err = audit.Run(context.Background(), source, options)
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Verdict)
	for _, fault := range report.Faults {
		fmt.Println(fault)
	}
	// Output:
	// terradourada/0123456789abcdef 2 map[claim:1 epoch-open:1]
	// valid self_asserted
	// invalid
	// entry 2 opens an epoch that was opened before
}
