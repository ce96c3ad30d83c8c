package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/terradourada/td/internal/limit"
)

// limited are the classes with limits of their own, in the order of limit_costs.
var limited = []limit.Class{limit.Read, limit.Issue, limit.Submit, limit.Verify}

// Limits returns the limits as [limit.New] takes them.
func (c *Config) Limits() limit.Settings {
	s, _, _ := c.limits() // check has found no error
	return s
}

// Proxies returns the networks of trusted_proxies.
func (c *Config) Proxies() []netip.Prefix {
	all, _ := limit.ParsePrefixes(c.TrustedProxies) // check has found no error
	return all
}

// Resolver returns what finds the address of a client.
func (c *Config) Resolver() *limit.Resolver {
	r, _ := c.resolver() // check has found no error
	return r
}

// headers are the headers of client_address; the other values read none.
var headers = map[string]string{AddressXFF: limit.XForwardedFor, AddressForwarded: limit.Forwarded}

// resolver has no local clients where the PROXY protocol is spoken: every connection has
// a proxy then.
func (c *Config) resolver() (*limit.Resolver, error) {
	return limit.NewResolver(headers[c.ClientAddress], c.Proxies(), c.LimitLoopback || c.ClientAddress == AddressPROXY)
}

// limits returns the limits, or an error and the key that it is about.
func (c *Config) limits() (s limit.Settings, key string, err error) {
	s = limit.Defaults()
	s.Buckets = c.LimitPlaces
	s.Response.DryRun = c.Response != ResponseOn
	s.Response.First, s.Response.Longest = c.ResponseBlock, c.ResponseLongest
	s.Response.Share = float64(c.ResponseShare) / 100
	s.Response.Exempt = c.Proxies()
	if s.Response.Most = c.ResponseMost; c.Response == ResponseOff {
		s.Response.Most = 0
	}
	for _, q := range []struct {
		key  string
		text string
		to   *limit.Quota
	}{
		{"limit_read", c.LimitRead, &s.Address[limit.Read]},
		{"limit_issue", c.LimitIssue, &s.Address[limit.Issue]},
		{"limit_submit", c.LimitSubmit, &s.Address[limit.Submit]},
		{"limit_verify", c.LimitVerify, &s.Address[limit.Verify]},
		{"limit_failures", c.LimitFailures, &s.Failures},
		{"limit_client", c.LimitClient, &s.Client},
		{"limit_client_day", c.LimitClientDay, &s.ClientDay},
		{"limit_claim", c.LimitClaim, &s.Claim},
		{"limit_all", c.LimitAll, &s.Global},
	} {
		if *q.to, err = limit.ParseQuota(q.text); err != nil {
			return s, q.key, err
		}
	}
	if err := numbers(c.LimitNetworks, s.Factors[:]); err != nil {
		return s, "limit_networks", err
	}
	costs := make([]int, len(limited))
	if err := numbers(c.LimitCosts, costs); err != nil {
		return s, "limit_costs", err
	}
	for i, class := range limited {
		s.Costs[class] = costs[i]
	}
	if err := totals(c.LimitTotal, &s); err != nil {
		return s, "limit_total", err
	}
	return s, "limit_read", s.Check() // one that depends on several
}

// numbers parses as many numbers as there is room for.
func numbers(texts []string, to []int) error {
	ok := len(texts) == len(to)
	for i := 0; ok && i < len(to); i++ {
		var err error
		to[i], err = strconv.Atoi(texts[i])
		ok = err == nil
	}
	if !ok {
		return fmt.Errorf("the value is not %d whole numbers", len(to))
	}
	return nil
}

// totals parses limits such as "issue 100/s burst 200".
func totals(texts []string, s *limit.Settings) (err error) {
	for _, text := range texts {
		word, q, _ := strings.Cut(text, " ")
		known := false
		for _, class := range limited {
			if class.String() == word {
				known = true
				s.Total[class], err = limit.ParseQuota(q)
			}
		}
		if !known || err != nil {
			return errors.New(`a limit of all clients is, for example, "issue 100/s burst 200", for read, issue, submit or verify`)
		}
	}
	return nil
}

// checkLimits checks the limits and what finds the address of a client.
func (c *Config) checkLimits() error {
	if _, err := limit.ParsePrefixes(c.TrustedProxies); err != nil {
		return c.fault("trusted_proxies", err.Error(), "")
	}
	if c.ClientAddress != AddressPeer && len(c.TrustedProxies) == 0 {
		return c.fault("client_address", "no proxy is trusted to name the address of a client", "name their addresses or networks with trusted_proxies")
	}
	if _, err := c.resolver(); err != nil {
		return c.fault("client_address", err.Error(), "")
	}
	if _, key, err := c.limits(); err != nil {
		return c.fault(key, err.Error(), "")
	}
	return nil
}
