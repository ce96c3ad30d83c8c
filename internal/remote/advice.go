package remote

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/receipt"
)

// isShort reports whether an error is about a copy of a log that ends too early.
func isShort(err error) bool { return errors.As(err, new(*receipt.ShortError)) }

// VouchFailure returns a refusal of the trust store as a fault. The server is the one that
// was read, nil if there was none.
func VouchFailure(err error, server *Server) error {
	verdict := receipt.VerdictOf(err)
	if isShort(err) {
		verdict = receipt.Unavailable
	}
	return fault.New(fault.ExitOfVerdict(verdict), err.Error(), Advice(verdict, err, server))
}

// Advice returns the hint for a negative verdict, by its reason, which may be nil.
func Advice(verdict string, reason error, server *Server) string {
	var known *fault.Fault
	switch {
	case verdict == receipt.Contradicted:
		return "keep the trust store and these files as evidence, and do not rely on this log"
	case verdict == receipt.Flagged:
		return "without --strict a flagged receipt counts as valid"
	case verdict == receipt.Invalid:
		return "each file's failed step says why"
	case errors.As(reason, &known):
		return known.Hint
	case verdict == receipt.Unvouched:
		return adviceOnUnvouched(reason, server)
	}
	return adviceOnMissing(reason, server)
}

// adviceOnUnvouched returns the hint for a log that nothing vouches for.
func adviceOnUnvouched(reason error, server *Server) string {
	name := "URL"
	if server != nil {
		name = server.Server()
	}
	var contradiction *receipt.ContradictionError
	var binding *receipt.BindingError
	var notLive *client.NotLiveError
	switch {
	case errors.As(reason, &contradiction) && contradiction.Live, errors.As(reason, new(*receipt.SetBackError)):
		return "keep the trust store and ask the operator"
	case contradiction != nil:
		return "keep the trust store, and ask where this comes from"
	case errors.As(reason, &notLive):
		return adviceOnNotLive(notLive)
	case errors.As(reason, &binding):
		return "if that is right: td trust add --server " + binding.Server
	case errors.Is(reason, receipt.ErrNoServer):
		return fmt.Sprintf("td trust add --server %s binds it", name)
	case errors.Is(reason, receipt.ErrUnknownLog), errors.Is(reason, receipt.ErrOtherKey):
		return fmt.Sprintf("td trust add --server %s reads the log from its own server; td trust add also takes --from-operator FILE or --policy FILE", name)
	case errors.Is(reason, receipt.ErrNoLog):
		return "--log URL or DIR can show that they belong together"
	case errors.Is(reason, receipt.ErrNotShown):
		return "the log may be damaged: read it from another place"
	}
	return "each file's failed step says why; if signatures are missing, get the receipt again with td receipt, or name a later cosigned checkpoint with --cosigned and the log with --log"
}

// adviceOnNotLive returns how to reach a server so that it is believed.
func adviceOnNotLive(why *client.NotLiveError) string {
	if why.Owner != 0 {
		return fmt.Sprintf("if this user runs the server: --server-user %d", why.Owner)
	}
	return "use https, or its loopback address on this machine"
}

// adviceOnMissing returns how to get what could not be read.
func adviceOnMissing(reason error, server *Server) string {
	var damaged *receipt.DamagedError
	var unread *fs.PathError
	switch {
	case errors.As(reason, &damaged) && damaged.Version1():
		return fmt.Sprintf("td trust import %s takes its records over", damaged.File)
	case errors.As(reason, &damaged):
		return fmt.Sprintf("put back a copy of %s; do not delete it", damaged.File)
	case isShort(reason) && server != nil:
		return "get a newer copy; if this is the log's own server, keep the trust store and ask the operator"
	case isShort(reason):
		return "get a newer copy"
	case errors.As(reason, &unread):
		return fmt.Sprintf("this user must be able to read %s", unread.Path)
	}
	return "what could not be read is named above"
}

// AdviceOnReceipt returns the hint about a server that sent a receipt which should not be
// relied on.
func AdviceOnReceipt(bad *receipt.NegativeError, server *Server) string {
	if bad.Verdict == receipt.Unvouched {
		return Advice(bad.Verdict, bad.Reason, server)
	}
	return DoNotRely
}
