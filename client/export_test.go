package client

import "net/netip"

// SetListeners replaces what the system says about listening sockets.
func (c *Client) SetListeners(f func(netip.AddrPort) (map[uint64]uint32, error)) { c.listeners = f }

// CloseIdle closes the connections that no call uses.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }
