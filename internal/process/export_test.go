package process

// ErrMalformed is the error of a frame that is none.
var ErrMalformed = errMalformed

// ReadRequest decodes a request and encodes it again.
func ReadRequest(b []byte, kinds int) ([]byte, error) {
	r, err := parseRequest(b, kinds)
	return r.encode(), err
}

// ReadAnswer decodes an answer and encodes it again.
func ReadAnswer(b []byte) ([]byte, error) {
	a, err := parseAnswer(b)
	return a.encode(), err
}

// FailedAnswer is the answer to a start that failed.
func FailedAnswer(id uint32, reason string) []byte {
	return answer{op: ansFailed, id: id, text: reason}.encode()
}
