package attest

import (
	"crypto/x509"
	"encoding/hex"

	"github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/validate"
	"github.com/google/go-sev-guest/verify"
)

// snpReportSize is the size of an ATTESTATION_REPORT.
const snpReportSize = abi.ReportSize

// verifySNP checks a report of SEV-SNP. If it has the certificate of the
// chip's key, it also checks the signature up to AMD's root.
func verifySNP(parts [][]byte, data ReportData, p *Policy) (*Verdict, error) {
	r, err := abi.ReportToProto(parts[0])
	if err != nil {
		return nil, malformed("the report of SEV-SNP cannot be read")
	}
	// The library verifies its own encoding of the report, which must therefore
	// equal the stored bytes.
	again, err := abi.ReportToAbiBytes(r)
	if err != nil || !same(again, parts[0]) {
		return nil, malformed("the report of SEV-SNP has a second reading")
	}
	if !same(r.GetReportData(), data[:]) {
		return nil, refuse("the report does not name this epoch")
	}
	if err := checkSNPMachine(r); err != nil {
		return nil, err
	}
	v := &Verdict{
		State:        Detected,
		Measurements: []Measurement{{"measurement", hex.EncodeToString(r.GetMeasurement())}, {"host_data", hex.EncodeToString(r.GetHostData())}},
		Notes:        []string{"revocation", "AMD's latest security level"},
	}
	certificates := certificatesFor(parts[1], p.Roots)
	for _, der := range certificates {
		if err = verifyReport(r, der, data, p); err == nil {
			v.State, v.By = Attested, "AMD's root for its product line"
			return v, nil
		}
	}
	if len(certificates) > 0 {
		return nil, refuseFor("neither signature nor certificates of the report lead to AMD's root", err)
	}
	return v, nil
}

// checkSNPMachine requires a machine that its host cannot inspect, and a report
// requested at its highest privilege level. The measurement is taken at launch.
// Where a paravisor runs at level 0, it is the paravisor's, and software that
// asks from a level below may be arbitrary.
func checkSNPMachine(r *spb.Report) error {
	if policy, err := abi.ParseSnpPolicy(r.GetPolicy()); err != nil || policy.Debug {
		return refuse("the host may debug this machine: its report proves nothing")
	}
	if r.GetVmpl() != 0 {
		return refuse("the report was asked for at a privilege level (VMPL) below 0, whose software the measurement does not cover")
	}
	return nil
}

// certificatesFor returns the certificate in the evidence, or else those of
// the verifier; all of them must come from AMD.
func certificatesFor(der []byte, roots *Roots) [][]byte {
	if len(der) > 0 {
		return [][]byte{der}
	}
	var all [][]byte
	if roots != nil {
		for _, c := range roots.ends {
			if c.SignatureAlgorithm == x509.SHA384WithRSAPSS {
				all = append(all, c.Raw)
			}
		}
	}
	return all
}

// verifyReport checks the signature, and that certificate and report are of the
// same chip at the same security level.
func verifyReport(r *spb.Report, der []byte, data ReportData, p *Policy) error {
	attestation, err := verifyReportSignature(r, der, p)
	if err != nil {
		return err
	}
	return validate.SnpAttestation(attestation, &validate.Options{
		GuestPolicy:               abi.SnpPolicy{SMT: true, CXLAllowed: true},
		ReportData:                data[:],
		PermitProvisionalFirmware: true,
	})
}

// verifyReportSignature checks the signature, and the certificates at the
// policy's time.
func verifyReportSignature(r *spb.Report, der []byte, p *Policy) (*spb.Attestation, error) {
	info, err := abi.ParseSignerInfo(r.GetSignerInfo())
	if err != nil {
		return nil, err
	}
	chain := &spb.CertificateChain{VcekCert: der}
	if info.SigningKey == abi.VlekReportSigner {
		chain = &spb.CertificateChain{VlekCert: der}
	}
	attestation := &spb.Attestation{Report: r, CertificateChain: chain}
	return attestation, verify.SnpAttestation(attestation, &verify.Options{
		DisableCertFetching: true,
		Now:                 p.At,
		TrustedRoots:        p.vendor.amd,
	})
}
