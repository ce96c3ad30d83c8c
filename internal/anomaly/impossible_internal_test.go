package anomaly

import "testing"

// TestForeignTagIsTraffic: a right tag of another client is first of all a matter of clients,
// since one that uses two keys causes it. It is no sign of a compromised key.
func TestForeignTagIsTraffic(t *testing.T) {
	t.Parallel()
	if got := impossible[kindForeignTag].runbook; got != runbookTraffic {
		t.Error(got)
	}
}
