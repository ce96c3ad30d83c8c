package rules

// Scaled converts a JSON number by scale and offset.
func Scaled(number string, scale int, offset int64, bits int) (uint64, bool) {
	return scaling{scale: scale, offset: offset}.apply(number, bits)
}

// ParsePointer returns the tokens of a strict JSON Pointer.
func ParsePointer(s string) ([]string, bool) { return parsePointer(s) }

// Resolve finds what a pointer names in a canonical document.
func Resolve(tokens []string, doc []byte) ([]byte, bool) { return pointer(tokens).resolve(doc) }
