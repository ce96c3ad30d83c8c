// Package attest has hardware speak for an epoch: a quote, made by a TPM 2.0 or
// by a confidential virtual machine (AMD SEV-SNP, Intel TDX), that names the
// epoch's public keys and is stored with the epoch.
//
// What a quote proves, and what it does not, is in docs/security/attestation.md;
// in short: software inside of a machine with these measurements named these
// keys. It protects no memory, says nothing about the HMAC key, and is worth as
// much as the measurements are compared with something known.
//
// # Three words
//
//	detected  the hardware is there, or there is a quote whose signature could
//	          not be checked for want of a certificate
//	usable    it answers, or its quote is signed by a key that nothing vouches
//	          for
//	attested  the quote is signed by a key that a root vouches for
//
// They mean the same of a machine ([Attestor.Detect]; only a quote shows more
// than usable) and of evidence ([Verify]).
//
// # Report data
//
// A quote carries 64 bytes that its maker chose. For an epoch they are
//
//	report data = SHA-512("terra-dourada/epoch/v1" ‖ B)
//	B = D("TD-V1-attestation", epoch id, SHA-256(pk), checkpoint key,
//	      u64 epoch number, instance id, build digest,
//	      u8 signer grade ‖ u8 tagger grade, posture digest)
//
// with D of section 4 of TD/1, every value as the epoch-open leaf has it, and pk
// the ML-DSA-65 public key. A TPM gets SHA-256(report data): 64 bytes are more
// than some take. No verifier's nonce is in it: a quote is no older than the
// epoch's key, and says nothing about later.
//
// # Evidence
//
// What is stored and published, at most [MaxEvidence] bytes:
//
//	"TDATT001" ‖ u8 kind ‖ parts, each u32 length ‖ bytes
//
// numbers big-endian, trailing bytes refused. Kinds and their parts:
//
//	1 tpm      TPMT_PUBLIC of the attestation key ‖ TPMS_ATTEST ‖ TPMT_SIGNATURE ‖
//	           the 16 SHA-256 values of PCR 0 to 15 (512 bytes)
//	2 sev_snp  ATTESTATION_REPORT (1,184 bytes) ‖ DER of the VCEK or VLEK, or nothing
//	3 tdx      quote, version 4, with its certificate chain
//
// Parts are the vendor's bytes, in the vendor's byte order.
//
// # The attestation key of a TPM
//
// A primary key of the endorsement hierarchy under one fixed template (ECC
// P-256, ECDSA with SHA-256, restricted, fixed to its TPM), so that a TPM has the
// same key until it is cleared, nothing is stored in it, and whoever knows the
// key can pin it. It is not certified: whether it lies in a TPM at all is
// vouched for by who pins it or signs a certificate for it.
//
// # Strictness
//
// Evidence may come from anybody. Sizes and lengths inside are checked here
// before a library sees them, what has more than one encoding is encoded again
// and compared, and a panic of a library is a refusal. Nothing is downloaded, so
// that revocation and the vendor's latest security levels are not judged. What
// stands for more than its signature says is refused: a quote of TDX by another
// enclave than Intel's quoting enclave, a report of SEV-SNP from below VMPL 0, a
// machine that its host may debug or move.
package attest
