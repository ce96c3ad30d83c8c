package attest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// The platform registers that a quote covers: all that only a reset clears, in
// the SHA-256 bank.
const (
	pcrCount = 16
	pcrSize  = sha256.Size
	pcrTries = 3 // a register may be extended between quote and reading
)

// tpm is a TPM 2.0 behind one connection, which it keeps open.
type tpm struct {
	path string
	mu   sync.Mutex // one command sequence at a time
	conn io.Closer
	dev  transport.TPM
}

// openTPM connects to a TPM: a character device such as /dev/tpmrm0, or the Unix
// socket of an emulator that takes bare commands.
func openTPM(path string) (*tpm, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var conn io.ReadWriteCloser
	switch {
	case info.Mode()&os.ModeSocket != 0:
		var c net.Conn
		c, err = (&net.Dialer{}).Dial("unix", path)
		conn = patient{c}
	case info.Mode()&os.ModeCharDevice != 0:
		conn, err = os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the operator configures the path
	default:
		return nil, errors.New("this is neither a device nor a socket")
	}
	if err != nil {
		return nil, err
	}
	return &tpm{path: path, conn: conn, dev: transport.FromReadWriteCloser(conn)}, nil
}

// patience bounds one command of an emulator; for a device the kernel bounds
// it.
const patience = 10 * time.Second

// patient is a connection on which an answer arrives in time or the read fails.
type patient struct{ net.Conn }

// Write sends a command and sets the deadline.
func (c patient) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Kind is "tpm".
func (*tpm) Kind() string { return WantTPM }

// Close ends the connection.
func (a *tpm) Close() error { return a.conn.Close() }

// Detect reads the first of the TPM's registers.
func (a *tpm) Detect(context.Context) (State, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.registers(); err != nil {
		return Detected, fmt.Sprintf("%s opens but does not answer: %v", a.path, err)
	}
	return Usable, a.path + " answers"
}

// Quote makes the attestation key, signs with it, and flushes it.
func (a *tpm) Quote(ctx context.Context, data ReportData) (Evidence, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Evidence{}, err
	}
	key, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(akTemplate())}.Execute(a.dev)
	if err != nil {
		return Evidence{}, fmt.Errorf("make the attestation key: %w", err)
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: key.ObjectHandle}.Execute(a.dev) }() // otherwise the resource manager flushes it
	public, err := key.OutPublic.Contents()
	if err != nil {
		return Evidence{}, fmt.Errorf("read the attestation key: %w", err)
	}
	signer := tpm2.NamedHandle{Handle: key.ObjectHandle, Name: key.Name}
	for range pcrTries {
		quoted, signature, digest, err := a.quote(signer, data)
		if err != nil {
			return Evidence{}, fmt.Errorf("quote: %w", err)
		}
		registers, err := a.registers()
		if err != nil {
			return Evidence{}, fmt.Errorf("read the registers: %w", err)
		}
		if sum := sha256.Sum256(registers); same(sum[:], digest) {
			return Evidence{KindTPM, [][]byte{tpm2.Marshal(public), quoted, signature, registers}}, nil
		}
	}
	return Evidence{}, errors.New("the registers change all the time")
}

func (a *tpm) quote(signer tpm2.NamedHandle, data ReportData) (quoted, signature, digest []byte, err error) {
	short := sha256.Sum256(data[:])
	rsp, err := tpm2.Quote{
		SignHandle:     signer,
		QualifyingData: tpm2.TPM2BData{Buffer: short[:]},
		InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		PCRSelect:      selected(0, pcrCount),
	}.Execute(a.dev)
	if err != nil {
		return nil, nil, nil, err
	}
	attest, err := rsp.Quoted.Contents()
	if err != nil {
		return nil, nil, nil, err
	}
	info, err := attest.Attested.Quote()
	if err != nil {
		return nil, nil, nil, err
	}
	return rsp.Quoted.Bytes(), tpm2.Marshal(rsp.Signature), info.PCRDigest.Buffer, nil
}

// registers reads PCR 0 to 15; a TPM returns at most eight at a time.
func (a *tpm) registers() ([]byte, error) {
	var all []byte
	for next := uint(0); next < pcrCount; {
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selected(next, pcrCount)}.Execute(a.dev)
		if err != nil {
			return nil, err
		}
		values := rsp.PCRValues.Digests
		if len(values) == 0 || uint(len(values)) > pcrCount-next {
			return nil, errors.New("the TPM has no SHA-256 bank")
		}
		for _, v := range values {
			if len(v.Buffer) != pcrSize {
				return nil, errors.New("a register is not of SHA-256")
			}
			all = append(all, v.Buffer...)
			next++
		}
	}
	return all, nil
}

// selected selects registers of the SHA-256 bank.
func selected(from, to uint) tpm2.TPMLPCRSelection {
	bits := make([]byte, 3)
	for i := from; i < to; i++ {
		bits[i/8] |= 1 << (i % 8)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: bits}}}
}

// akTemplate is the one form of an attestation key; its point is zero.
func akTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: make([]byte, 32)},
			Y: tpm2.TPM2BECCParameter{Buffer: make([]byte, 32)},
		}),
	}
}
