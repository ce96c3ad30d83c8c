package keyholder_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// No answer, and not even the ready record, has room for a signature.
func TestNoRoomForASignature(t *testing.T) {
	for name, size := range map[string]int{
		"answer of the signer":       keyholder.SignerAnswerSize,
		"answer of the tagger":       keyholder.TaggerAnswerSize,
		"ready record of the signer": keyholder.SignerReadySize,
		"ready record of the tagger": keyholder.TaggerReadySize,
	} {
		if size >= protocol.MLDSASignatureSize {
			t.Errorf("%s has %d bytes, a signature %d", name, size, protocol.MLDSASignatureSize)
		}
	}
	if keyholder.SignerAnswerSize != 120 || keyholder.SignerRequestSize != 304 ||
		keyholder.TaggerAnswerSize != 304 || keyholder.TaggerRequestSize != 304 {
		t.Error("the sizes of the package comment are not those of the frames")
	}
}

func TestDecodeRefusals(t *testing.T) {
	for i, s := range keyholder.Shapes() {
		f := keyholder.NewFrame(1, keyholder.AnsDone) // done, or start, of nothing
		good := s.Append(nil, &f)
		if _, err := s.Decode(good); err != nil {
			t.Errorf("shape %d: %v", i, err)
		}
		last := len(good) - 1
		for name, change := range map[string]func(b []byte){
			"no code":            func(b []byte) { b[8] = 0 },
			"unknown code":       func(b []byte) { b[8] = 9 },
			"highest code":       func(b []byte) { b[8] = 255 },
			"reserved byte":      func(b []byte) { b[9] = 1 },
			"last reserved byte": func(b []byte) { b[15] = 1 },
			"unused body":        func(b []byte) { b[last] = 1 },
		} {
			bad := bytes.Clone(good)
			change(bad)
			if _, err := s.Decode(bad); !errors.Is(err, keyholder.ErrMalformed) {
				t.Errorf("shape %d: %s: %v", i, name, err)
			}
		}
	}
}

// collect reads all frames of a stream.
func collect(r io.Reader, s keyholder.Shape) (frames []keyholder.Frame, err error) {
	err = keyholder.ReadFrames(r, s, func(f *keyholder.Frame) error {
		frames = append(frames, *f)
		return nil
	})
	return frames, err
}

func TestReadFrames(t *testing.T) {
	s := keyholder.Shapes()[0]
	var stream []byte
	const n = 1000 // several reads
	for i := range n {
		f := keyholder.NewFrame(uint64(i), keyholder.ReqWipe)
		stream = s.Append(stream, &f)
	}
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r      io.Reader
		frames int
		err    error
	}{
		"whole":       {bytes.NewReader(stream), n, nil},
		"halves":      {iotest.HalfReader(bytes.NewReader(stream)), n, nil},
		"bytes":       {iotest.OneByteReader(bytes.NewReader(stream[:3*s.Size()])), 3, nil},
		"end in one":  {bytes.NewReader(stream[:2*s.Size()+1]), 2, keyholder.ErrMalformed},
		"data at end": {iotest.DataErrReader(bytes.NewReader(stream)), n, nil},
		"failure":     {io.MultiReader(bytes.NewReader(stream[:s.Size()]), iotest.ErrReader(broken)), 1, broken},
	} {
		frames, err := collect(c.r, s)
		if len(frames) != c.frames || !errors.Is(err, c.err) {
			t.Errorf("%s: %d frames and %v, want %d and %v", name, len(frames), err, c.frames, c.err)
		}
		for i := range frames {
			if frames[i].ID() != uint64(i) {
				t.Fatalf("%s: frame %d has id %d", name, i, frames[i].ID())
			}
		}
	}
}

// FuzzFrame: whatever decodes encodes to the same bytes, as a frame and as a
// start record, and how a stream is cut into reads changes nothing.
func FuzzFrame(f *testing.F) {
	start := keyholder.SignerStartFrame(keyholder.SignerStart{Origin: origin, Number: 7, Instance: instance})
	other := keyholder.TaggerStartFrame(protocol.EpochID{1}, 7, 9)
	p := payload(protocol.EpochID{1}, 3)
	shapes := keyholder.Shapes()
	for i, s := range shapes {
		for code := range byte(9) {
			whole := keyholder.NewFrame(1, code, p[:])
			empty := keyholder.NewFrame(2, code)
			f.Add(uint8(i), s.Append(s.Append(nil, &whole), &empty))
		}
	}
	f.Add(uint8(0), shapes[0].Append(nil, &start))
	f.Add(uint8(1), shapes[1].Append(nil, &other))
	f.Fuzz(func(t *testing.T, which uint8, stream []byte) {
		s := shapes[int(which)%len(shapes)]
		frames, err := collect(bytes.NewReader(stream), s)
		var again []byte
		for i := range frames {
			again = s.Append(again, &frames[i])
		}
		if !bytes.HasPrefix(stream, again) || err == nil && len(again) != len(stream) {
			t.Fatal("frames do not encode to the stream they came from")
		}
		cut, cutErr := collect(iotest.HalfReader(bytes.NewReader(stream)), s)
		if len(cut) != len(frames) || !errors.Is(cutErr, err) {
			t.Fatalf("%d frames and %v, in other reads %d and %v", len(frames), err, len(cut), cutErr)
		}
		for i := range frames {
			checkStart(t, &frames[i], keyholder.ReadSignerStart, 280)
			checkStart(t, &frames[i], keyholder.ReadTaggerStart, 28)
		}
	})
}

// checkStart reads a frame as a start record of so many bytes.
func checkStart(t *testing.T, f *keyholder.Frame, read func(*keyholder.Frame) (keyholder.Frame, error), used int) {
	t.Helper()
	again, err := read(f)
	if err != nil {
		return
	}
	s := keyholder.Shapes()[1] // shows the whole body
	want, got := s.Append(nil, f), s.Append(nil, &again)
	const id, header = 8, 16 // the id is not part of the record
	if !bytes.Equal(want[id:header+used], got[id:header+used]) {
		t.Fatal("a start record does not encode to the frame it came from")
	}
}
