package fault

import (
	"errors"
	"fmt"
)

// Panicked returns an error about the value of a panic: with its text if it is an error or
// a text, otherwise with its type alone. What else it holds is not known, and package fmt
// prints what is in an unexported field without asking its type, secret or not.
func Panicked(v any) error {
	switch v := v.(type) {
	case error:
		return v
	case string:
		return errors.New(v)
	}
	return fmt.Errorf("a value of type %T", v)
}
