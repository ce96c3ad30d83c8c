//go:build generate

// Command srsgen writes the embedded form of Ethereum's KZG ceremony output. It
// copies the numbers out of the trusted set-up that go-eth-kzg ships, and no
// code:
//
//	powers.bin    4096 G1 powers, then 65 G2 powers, compressed
//	lagrange.bin  the first 1024 and the first 2048 G1 powers in Lagrange form, compressed
//
// It runs from package claim by go generate and is no part of the product.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/kzg"
	_ "github.com/crate-crypto/go-eth-kzg" // the module that ships the numbers
)

func main() {
	if err := run("data"); err != nil {
		fmt.Fprintln(os.Stderr, "srsgen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	g1, g2, err := read()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "powers.bin"), append(g1, g2...), 0o644); err != nil {
		return err
	}
	var out []byte
	for _, n := range []int{1024, 2048} {
		if out, err = appendLagrange(out, g1, n); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "lagrange.bin"), out, 0o644)
}

// read returns the compressed G1 and G2 powers of the shipped set-up.
func read() (g1, g2 []byte, err error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/crate-crypto/go-eth-kzg").Output()
	if err != nil {
		return nil, nil, err
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "trusted_setup.json"))
	if err != nil {
		return nil, nil, err
	}
	var setup struct {
		G1 []string `json:"g1_monomial"`
		G2 []string `json:"g2_monomial"`
	}
	if err := json.Unmarshal(raw, &setup); err != nil {
		return nil, nil, err
	}
	if g1, err = join(setup.G1); err != nil {
		return nil, nil, err
	}
	g2, err = join(setup.G2)
	return g1, g2, err
}

func join(points []string) ([]byte, error) {
	var out []byte
	for _, p := range points {
		b, err := hex.DecodeString(strings.TrimPrefix(p, "0x"))
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

func appendLagrange(out, g1 []byte, n int) ([]byte, error) {
	points := make([]bls12381.G1Affine, n)
	for i := range points {
		if _, err := points[i].SetBytes(g1[i*bls12381.SizeOfG1AffineCompressed:]); err != nil {
			return nil, err
		}
	}
	lagrange, err := kzg.ToLagrangeG1(points)
	if err != nil {
		return nil, err
	}
	for i := range lagrange {
		b := lagrange[i].Bytes()
		out = append(out, b[:]...)
	}
	return out, nil
}
