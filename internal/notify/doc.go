// Package notify is the notifier, the only process of a server that connects to other
// machines, and the core's side of it. It delivers alerts to sinks: Alertmanagers, and
// webhooks as Standard Webhooks 1.0.0 describes them. It decides nothing about alerts;
// package watch does. It also carries the core's requests to cosigners of the log, and
// their answers, which the core verifies: it can withhold them, and not make them.
//
// # Process
//
// The notifier is a child of the launcher (package process), runs only if a setting names
// destinations, and is started again when it exits. It has one socket to the core and one
// file, its store, as descriptor 4. It opens no other file, and its sockets are TCP and
// UDP of IPv4 and IPv6 (package sandbox). The names of name servers, /etc/hosts and the
// system's certificates of authorities are read before it confines itself; a change takes
// effect when it is started again. Further certificates of authorities are arguments.
//
// # Secrets
//
// The notifier draws the secret of a webhook and keeps it in the store, of mode 0600.
// The answer to the request that adds the sink holds it, once. A secret signs messages
// for one receiver and is no key of the protocol.
//
// # Destinations
//
// A destination is allowed by a host name or by a network in the settings, each with one
// port, [DefaultPort] if it names none. A name allows
// public addresses only. A network allows its addresses; those that are link-local,
// multicast or unspecified, which includes the metadata services of clouds, only if the
// network lies wholly among them. An address of IPv6 that embeds addresses of IPv4 is
// judged by these. The name in a URL is looked up once for each attempt,
// and the address that was checked is the one that is dialled. Redirects are not followed,
// and no proxy is used.
//
// # Store
//
// The store is a file of slots of [slotSize] bytes: a sink or a message that waits in
// each. A slot is
//
//	u32 CRC-32C of what follows | u8 kind | u8[3] 0 | u64 sequence | u32 length | payload
//
// with big-endian integers. kind is 0 free, 1 sink, 2 message. A slot whose sum does not
// match was being written when the machine stopped, and is free. A message is on disk
// before it is acknowledged to the core, and removed once its receiver has taken it: a
// receiver may get it twice, with the same webhook-id. If no slot is free, the oldest
// message is dropped and counted.
//
// # Frames
//
// A frame is a u32 length and that many bytes of JSON, at most 512 KiB. The core sends
// {"id","op","body"}; ids grow. The notifier answers {"id","error","body"} in any order.
// Its first frame has the id 0 and its posture as body.
//
//	op         body                          answer
//	sinks                                    [Sink...]
//	add        {"kind","url"}                {"id","secret"}
//	remove     {"id"}
//	notice     {"id","body"}                 once it is in the store for every webhook
//	heartbeat  {"id","body"}                 one attempt for every webhook, not stored
//	sync       {"body"}                      one attempt for every Alertmanager, repeated until it succeeds or the next sync
//	test       {"sink","id","body"}          when the attempt is over
//	forward    {"url","body"}                {"status","type","body"}, what a cosigner answered
package notify
