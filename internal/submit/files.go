package submit

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// writeOpening writes the private half of a receipt, for its owner only.
func writeOpening(dir string, o *receipt.Opening) error {
	b, err := o.Encode()
	if err != nil {
		return err
	}
	return fsutil.WriteFile(openingPath(dir, o.RequestID), b, 0o600)
}

// WriteReceipt writes a receipt and its opening to a directory, which is made if it is
// missing. The opening is written first, so that a receipt is never without it.
func WriteReceipt(dir string, id protocol.RequestID, raw []byte, o *receipt.Opening) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be made: %v", dir, err), "")
	}
	if err := writeOpening(dir, o); err != nil {
		return err
	}
	return fsutil.WriteFile(filepath.Join(dir, id.String()+receiptSuffix), raw, 0o644)
}

// openingPath returns the file of a request's opening in a folder. It is not named by
// [Options.Name], because it is written before the receipt is known.
func openingPath(dir string, id protocol.RequestID) string {
	return filepath.Join(dir, openingName(id))
}
