package verify

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
)

// upTo returns the numbers from 0 to n-1, and io.EOF then.
func upTo(n int) func() (int, error) {
	i := -1
	return func() (int, error) {
		if i++; i == n {
			return 0, io.EOF
		}
		return i, nil
	}
}

// TestInOrder wants results in order whatever finishes first, and the first
// error to end it.
func TestInOrder(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor does one thing after the other")
	}
	var got []int
	first := make(chan struct{})
	err := inOrder(context.Background(), upTo(50), func(i int) (int, error) {
		switch i {
		case 0:
			<-first
		case 1:
			close(first)
		}
		return i, nil
	}, func(i int) error { got = append(got, i); return nil })
	if err != nil || len(got) != 50 || got[0] != 0 || got[49] != 49 {
		t.Errorf("%v, %v", got, err)
	}
	broken := errors.New("broken")
	err = inOrder(context.Background(), upTo(50), func(i int) (int, error) {
		if i == 7 {
			return 0, broken
		}
		return i, nil
	}, func(int) error { return nil })
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := inOrder(ctx, upTo(5), func(i int) (int, error) { return i, nil }, func(int) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of an ended context is %v", err)
	}
}
