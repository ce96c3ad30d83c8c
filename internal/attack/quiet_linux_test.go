package attack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	envQuiet   = "TD_ATTACK_QUIET" // a quietTask, for the process of the quiet client
	quietPause = 25 * time.Millisecond
	quietLife  = 2 * time.Second // of its challenges
)

// quietTask is what the quiet client does.
type quietTask struct {
	Address string
	Token   string
	For     time.Duration
}

// quietResult is what it got.
type quietResult struct {
	Took    []float64 // milliseconds of each challenge that was issued
	Refused []string
}

// quiet starts the quiet client in a process of its own, where the load does not delay it,
// and returns a function that waits for its result.
func (p *part) quiet(l *load, d time.Duration) func() *quietResult {
	p.Helper()
	task, err := json.Marshal(quietTask{l.address, l.token, d})
	p.must(err)
	exe, err := os.Executable()
	p.must(err)
	cmd := exec.CommandContext(p.Context(), exe, "-test.run", "^TestQuietClient$", "-test.v")
	cmd.Env = append(os.Environ(), envQuiet+"="+string(task))
	var out bytes.Buffer
	cmd.Stdout = &out
	p.must(cmd.Start())
	return func() *quietResult {
		p.Helper()
		p.must(cmd.Wait())
		_, after, _ := bytes.Cut(out.Bytes(), []byte(quietMark))
		line, _, _ := bytes.Cut(after, []byte("\n"))
		r := new(quietResult)
		p.must(json.Unmarshal(line, r))
		return r
	}
}

// quietMark begins the line with the result.
const quietMark = "quiet client: "

// TestQuietClient is the process of the quiet client: it asks for challenges, one after the
// other with a pause.
func TestQuietClient(t *testing.T) {
	var task quietTask
	if json.Unmarshal([]byte(os.Getenv(envQuiet)), &task) != nil {
		t.Skip("not started by the overload")
	}
	runtime.LockOSThread()
	atOnce(unix.Gettid())
	var r quietResult
	var c *rawConn
	for end := time.Now().Add(task.For); time.Now().Before(end); time.Sleep(quietPause) {
		var err error
		if c == nil {
			if c, err = dialRaw(task.Address); err != nil {
				r.Refused = append(r.Refused, err.Error())
				continue
			}
		}
		answer, took, err := c.do(openRequest(randomCommitment(), quietLife, bearer(task.Token)...))
		switch {
		case err != nil:
			r.Refused = append(r.Refused, err.Error())
			c.close()
			c = nil
		case !bytes.HasPrefix(answer, []byte("HTTP/1.1 "+strconv.Itoa(http.StatusCreated))):
			r.Refused = append(r.Refused, codeOf(answer))
		default:
			r.Took = append(r.Took, millis(took))
		}
	}
	line, err := json.Marshal(r)
	if err = errors.Join(err, write(append([]byte("\n"+quietMark), append(line, '\n')...))); err != nil {
		t.Fatal(err)
	}
}

func write(b []byte) error {
	_, err := os.Stdout.Write(b)
	return err
}
