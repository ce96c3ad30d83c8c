// Package attest obtains and verifies quotes for an epoch. A quote is made by a
// TPM 2.0 or by a confidential virtual machine (AMD SEV-SNP, Intel TDX). It
// names the epoch's public keys and is stored with the epoch.
//
// docs/security/attestation.md describes what a quote proves and what it does
// not. In short: software inside of a machine with these measurements named
// these keys. It protects no memory and does not cover the HMAC key. It is
// worth only as much as the comparison of its measurements with known values.
//
// # Three words
//
//	detected  the hardware is there, or there is a quote whose signature could
//	          not be checked for want of a certificate
//	usable    it answers, or its quote is signed by a key that nothing vouches
//	          for
//	attested  the quote is signed by a key that a root vouches for
//
// They have the same meaning for a machine ([Attestor.Detect]; only a quote
// shows more than usable) and for evidence ([Verify]).
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
// with D of section 4 of TD/1, every value as in the epoch-open leaf, and pk
// the ML-DSA-65 public key. A TPM quotes SHA-256(report data), because some
// TPMs take less than 64 bytes. It contains no verifier's nonce: a quote is no
// older than the epoch's key and shows nothing about later times.
//
// # Evidence
//
// The stored and published form, at most [MaxEvidence] bytes:
//
//	"TDATT001" ‖ u8 kind ‖ parts, each u32 length ‖ bytes
//
// numbers are big-endian, trailing bytes are refused. Kinds and their parts:
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
// The attestation key of a TPM is a primary key of the endorsement hierarchy
// under one fixed template (ECC P-256, ECDSA with SHA-256, restricted, fixed to
// its TPM). So a TPM has the same key until it is cleared, and nothing is
// stored in it. A verifier that knows the key can pin it. It is not certified:
// only a verifier that pins it, or an authority that signs a certificate for
// it, can vouch that it is in a TPM at all.
//
// # Strictness
//
// Evidence may come from anyone. Sizes and lengths inside are checked here
// before a library reads them. What has more than one encoding is encoded again
// and compared. A panic of a library is a refusal. Nothing is downloaded, so
// revocation and the vendor's latest security levels are not checked. Three
// kinds of quotes are refused although their signatures are valid: a quote of
// TDX by another enclave than Intel's quoting enclave, a report of SEV-SNP from
// below VMPL 0, and a quote of a machine that its host may debug or move.
package attest
