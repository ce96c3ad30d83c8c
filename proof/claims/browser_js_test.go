package claims_test

import (
	"encoding/json"
	"math"
	"os"
	"syscall/js"
	"testing"
)

// TestBrowser measures proving and verifying in WebAssembly, as in a browser, and
// writes a line of JSON: the mean milliseconds of processors of each claim. It needs
// node.
func TestBrowser(t *testing.T) {
	const warm, rounds = 5, 30
	mean := func(call func()) float64 {
		var before js.Value
		for i := range warm + rounds {
			if i == warm {
				before = js.Global().Get("process").Call("cpuUsage")
			}
			call()
		}
		used := js.Global().Get("process").Call("cpuUsage", before)
		ms := (used.Get("user").Float() + used.Get("system").Float()) / 1000 / rounds
		return math.Round(ms*1000) / 1000
	}
	all := witnesses(t)
	rows := make(map[string]map[string]float64)
	for id, name := range map[string]string{"open/1": "open", "record-range/1": "record 0"} {
		w := all[name]
		var proof []byte
		rows[id] = map[string]float64{
			"prove_ms": mean(func() { proof = prove(t, w) }),
			"verify_ms": mean(func() {
				if err := suite.Verify(proof, in(w.Statement())...); err != nil {
					t.Fatal(err)
				}
			}),
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(rows); err != nil {
		t.Fatal(err)
	}
}
