package attest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"

	"github.com/google/go-tpm/tpm2"
)

// verifyTPM checks public key, quote, signature and registers against one
// another and against report data.
func verifyTPM(parts [][]byte, data ReportData, p *Policy) (*Verdict, error) {
	public, quoted, signature, registers := parts[0], parts[1], parts[2], parts[3]
	key, err := attestationKey(public)
	if err != nil {
		return nil, err
	}
	if err := checkQuoted(quoted, public, registers, data); err != nil {
		return nil, err
	}
	r, s, err := ecdsaSignature(signature)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(quoted); !ecdsa.Verify(key, sum[:], r, s) {
		return nil, refuse("the signature of the TPM's quote is false")
	}
	return tpmVerdict(key, registers, p)
}

func tpmVerdict(key *ecdsa.PublicKey, registers []byte, p *Policy) (*Verdict, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, refuseFor("the attestation key has no encoding", err)
	}
	v := &Verdict{
		State: Usable,
		Key:   string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		Notes: []string{"which events led to the registers"},
	}
	if by, ok := p.Roots.vouch(key, p.At); ok {
		v.State, v.By = Attested, by
	}
	for i := range pcrCount {
		value := registers[i*pcrSize : (i+1)*pcrSize]
		v.Measurements = append(v.Measurements, Measurement{fmt.Sprintf("pcr%d", i), hex.EncodeToString(value)})
	}
	return v, nil
}

// attestationKey parses a public area, which must equal the template except
// for its point: a key of another kind could be made to sign what looks like a
// quote.
func attestationKey(raw []byte) (*ecdsa.PublicKey, error) {
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](raw)
	if err != nil || !same(tpm2.Marshal(*public), raw) {
		return nil, malformed("the attestation key cannot be read")
	}
	point, err := public.Unique.ECC()
	if err != nil || len(point.X.Buffer) != 32 || len(point.Y.Buffer) != 32 {
		return nil, refuse("the attestation key is not of the one form that is known")
	}
	blank, template := *public, akTemplate()
	blank.Unique = template.Unique
	if !same(tpm2.Marshal(blank), tpm2.Marshal(template)) {
		return nil, refuse("the attestation key is not of the one form that is known")
	}
	parameters, err := public.Parameters.ECCDetail()
	if err != nil {
		return nil, malformed("the attestation key cannot be read")
	}
	key, err := tpm2.ECDSAPub(parameters, point)
	if err != nil {
		return nil, malformed("the attestation key cannot be read")
	}
	if _, err := key.ECDH(); err != nil {
		return nil, refuse("the attestation key is not on its curve")
	}
	return key, nil
}

// checkQuoted requires a quote by this key, over report data and these
// registers.
func checkQuoted(raw, public, registers []byte, data ReportData) error {
	attest, err := tpm2.Unmarshal[tpm2.TPMSAttest](raw)
	if err != nil || !same(tpm2.Marshal(*attest), raw) {
		return malformed("the TPM's quote cannot be read")
	}
	info, err := attest.Attested.Quote()
	if err != nil || attest.Type != tpm2.TPMSTAttestQuote {
		return refuse("the TPM signed something else than a quote")
	}
	short := sha256.Sum256(data[:])
	if !same(attest.ExtraData.Buffer, short[:]) {
		return refuse("the quote does not name this epoch")
	}
	if !same(attest.QualifiedSigner.Buffer, qualifiedName(public)) {
		return refuse("the quote was made by another key than the one beside it")
	}
	sum := sha256.Sum256(registers)
	if !same(tpm2.Marshal(info.PCRSelect), tpm2.Marshal(selected(0, pcrCount))) || !same(info.PCRDigest.Buffer, sum[:]) {
		return refuse("the quote is over other registers than the ones beside it")
	}
	return nil
}

// qualifiedName is the name of a primary key of the endorsement hierarchy (TPM
// 2.0, part 1, section 16).
func qualifiedName(public []byte) []byte {
	algorithm := binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMAlgSHA256))
	sum := sha256.Sum256(public)
	full := binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHEndorsement))
	full = append(append(full, algorithm...), sum[:]...)
	sum = sha256.Sum256(full)
	return append(algorithm, sum[:]...)
}

func ecdsaSignature(raw []byte) (r, s *big.Int, err error) {
	signature, err := tpm2.Unmarshal[tpm2.TPMTSignature](raw)
	if err != nil || !same(tpm2.Marshal(*signature), raw) {
		return nil, nil, malformed("the TPM's signature cannot be read")
	}
	pair, err := signature.Signature.ECDSA()
	if err != nil || pair.Hash != tpm2.TPMAlgSHA256 || len(pair.SignatureR.Buffer) > 32 || len(pair.SignatureS.Buffer) > 32 {
		return nil, nil, refuse("the TPM's signature is not ECDSA with SHA-256")
	}
	return new(big.Int).SetBytes(pair.SignatureR.Buffer), new(big.Int).SetBytes(pair.SignatureS.Buffer), nil
}
