package node

import (
	"errors"
	"fmt"

	"github.com/terradourada/td/internal/telemetry"
)

// reload reads the settings and the certificate again, and applies the limits, while the node serves. What cannot
// be read stays as it is, and ends nothing.
func (n *node) reload() error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	n.notify(n.Notify.Reloading())
	var errs []error
	if n.Reread != nil {
		errs = append(errs, n.Reread())
	}
	if err := n.limits.replace(n.Settings); err != nil {
		errs = append(errs, err)
	}
	n.machine.gate.SetPolicy(policy(n.Settings, n.claims))
	if n.cert != nil {
		if err := n.cert.again(); err != nil {
			errs = append(errs, fmt.Errorf("certificate: %w", err))
		}
	}
	n.reporting.change(telemetry.SettingsRead, "", 1)
	n.notify(n.Notify.Ready(n.health.words()))
	return errors.Join(errs...)
}
