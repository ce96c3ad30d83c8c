package receipt_test

import (
	"context"
	"fmt"
	"os"

	"github.com/terradourada/td/receipt"
)

// An auditor received a receipt. The policy file is the auditor's own: it names
// the log and a cosigner that they trust not to sign two histories of it.
func Example() {
	file, err := os.ReadFile("testdata/range.receipt.json")
	if err != nil {
		panic(err)
	}
	policyFile, err := os.ReadFile("testdata/policy.txt")
	if err != nil {
		panic(err)
	}
	policy, err := receipt.ParsePolicy(policyFile)
	if err != nil {
		panic(err)
	}
	r, err := receipt.Parse(file)
	if err != nil {
		panic(err)
	}
	report := receipt.Verify(context.Background(), r, receipt.Options{Policy: policy})
	for _, s := range report.Steps {
		fmt.Println(s.Step, s.OK)
	}
	fmt.Println(report.Verdict, report.Identity)

	// After one changed bit, the report names the step that fails.
	r.Leaf[len(r.Leaf)-1] ^= 1
	report = receipt.Verify(context.Background(), r, receipt.Options{Policy: policy})
	fmt.Println(report.Verdict, "at", report.FailedStep)
	// Output:
	// leaf true
	// statement true
	// context true
	// proof true
	// binding true
	// inclusion true
	// issued true
	// checkpoint true
	// identity true
	// valid pinned
	// invalid at proof
}
