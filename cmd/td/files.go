package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// writeFile writes a file whole or not at all, and has it on disk before it
// returns: under another name first, then renamed.
func writeFile(path string, data []byte, perm os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be written: %v", path, err), "")
	}
	defer os.Remove(f.Name()) // after a rename there is nothing left to remove
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be written: %v", path, err), "")
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// writeOpening writes the private half of a receipt, for its owner only.
func writeOpening(dir string, o *receipt.Opening) error {
	b, err := o.Encode()
	if err != nil {
		return err
	}
	return writeFile(openingPath(dir, o.RequestID), b, 0o600)
}

// writeReceipt writes a receipt and its opening, the opening first: a receipt
// never stands there without it.
func writeReceipt(dir string, id protocol.RequestID, raw []byte, o *receipt.Opening) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("%s cannot be made: %v", dir, err), "")
	}
	if err := writeOpening(dir, o); err != nil {
		return err
	}
	return writeFile(receiptPath(dir, id), raw, 0o644)
}

// receiptPath and openingPath are the files of one request in a folder.
func receiptPath(dir string, id protocol.RequestID) string {
	return filepath.Join(dir, id.String()+".receipt.json")
}

func openingPath(dir string, id protocol.RequestID) string {
	return filepath.Join(dir, id.String()+".opening")
}
