package attest

import (
	"encoding/binary"

	"github.com/google/go-sev-guest/abi"
)

// The certificate table of SEV-SNP (GHCB specification, section 4.1.8.1): rows
// of a 16-byte GUID, u32 offset and u32 length, little-endian, up to a row of
// zeros. It comes from the host, which is not trusted, and the library's
// reader adds offset and length with overflow and allocates what the host asks
// for.
const tableRow = 24

// The GUIDs of the certificates that sign reports, in the byte order of the
// table.
var (
	guidVCEK = [16]byte{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd}
	guidVLEK = [16]byte{0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1}
)

// endCertificate returns the certificate of the key that signed a report from
// a table, nil if it is missing or the table is malformed.
func endCertificate(table, report []byte) []byte {
	want := guidVCEK
	if info, err := abi.ReportSignerInfo(report); err == nil && info>>2&7 == uint32(abi.VlekReportSigner) {
		want = guidVLEK
	}
	for row := table; len(row) >= tableRow; row = row[tableRow:] {
		guid := [16]byte(row[:16])
		if guid == [16]byte{} {
			break
		}
		offset, length := uint64(binary.LittleEndian.Uint32(row[16:20])), uint64(binary.LittleEndian.Uint32(row[20:24]))
		if guid == want && length <= maxCertificate && offset+length <= uint64(len(table)) {
			return table[offset : offset+length]
		}
	}
	return nil
}
