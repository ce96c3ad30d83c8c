package config

import (
	"strings"
	"time"
)

// Config is every setting of the server. The doc comments here are the
// reference: [Explain] and the documentation print them. Tags hold the key
// (flag and environment variable follow from it), the default, and what is
// allowed: "range" for numbers and durations, "oneof" for words, "kind" for texts of
// another form; "hot" marks what a running server applies when it reads them again.
//
// No key, tag or secret can be configured: there is no field for one. tls_key
// names a file.
type Config struct {
	// Address of the public listener, host:port. Any address but a loopback one
	// needs TLS, and clients need an API key there for everything but the public
	// log; the server does not start without a client that has one.
	Listen string `key:"listen" default:"127.0.0.1:8080"`

	// Address of the ops listener, host:port, or off. It answers GET /healthz
	// (should the process be restarted?) and GET /readyz (can it issue and accept?)
	// without authentication. Any address but a loopback one needs
	// allow_insecure_listen.
	Ops string `key:"ops" default:"off"`

	// Answer /debug/pprof/ on the ops listener too, which has to be on loopback then.
	// Profiles show what the server computes, not what it holds in memory.
	OpsPprof bool `key:"ops_pprof" default:"false"`

	// Data directory: journal and ledger, created when it does not exist. The default is terradourada in $XDG_STATE_HOME, or in
	// ~/.local/state.
	Data string `key:"data"`

	// Serve a copy of a data directory for reading only: receipts, the log,
	// verification and the status. No key is made, nothing is written, and what
	// would issue or accept is forbidden. The directory must not be that of a
	// server that runs.
	ReadOnly bool `key:"read_only" default:"false"`

	// File with the TLS certificate chain in PEM form; needs tls_key too. When
	// one of the two files changes, both are read again. The server keeps the
	// right to read their directories: they should hold nothing else.
	TLSCert string `key:"tls_cert"`

	// File with the private key of the TLS certificate in PEM form; needs
	// tls_cert too.
	TLSKey string `key:"tls_key"`

	// Allow an address that others can reach without TLS, where something in
	// front of the server provides it: otherwise others can read the API keys.
	// Clients need a key nevertheless.
	AllowInsecureListen bool `key:"allow_insecure_listen" default:"false"`

	// Ask clients for an API key on a loopback address too, as a server behind a
	// proxy should. The public log can be read without one.
	Authenticate bool `key:"authenticate" default:"false"`

	// Path of the admin socket, at most 107 bytes. The default is admin.sock in the
	// data directory, which only the user of the server and root can reach: name a
	// place outside it if others have a role.
	Socket string `key:"socket"`

	// Local users and groups that may read the state of the server over the admin
	// socket, such as user:alice, user:1000 or group:ops. Root and the user who
	// starts the server may do everything.
	AdminViewers []string `key:"admin_viewers"`

	// Local users and groups that may also freeze, rotate, invalidate and open
	// incidents, as in admin_viewers.
	AdminOperators []string `key:"admin_operators"`

	// Local users and groups that may also thaw, seal, retire, revoke and manage
	// API clients, as in admin_viewers.
	AdminCommanders []string `key:"admin_commanders"`

	// A thaw needs two commanders: a second, different one asks for the same within
	// 30 minutes.
	SecondCommander bool `key:"second_commander" default:"false"`

	// Address of an admin listener, host:port, besides the socket; the default is
	// none. It uses tls_cert, and needs admin_client_ca and admin_roles.
	AdminListen string `key:"admin_listen"`

	// File with the certificates, in PEM form, of the authorities that sign the
	// client certificates of admin_listen.
	AdminClientCA string `key:"admin_client_ca"`

	// File with the roles of client certificates: on each line the SHA-256 of a
	// certificate in hexadecimal, a space, and viewer, operator or commander.
	AdminRoles string `key:"admin_roles"`

	// Host names, without a port, that requests may be addressed to besides
	// localhost and addresses of this listener: the names that a proxy passes on
	// in the Host header. On a loopback listener any other Host is forbidden, so
	// that no web page reaches the server by DNS rebinding; on any other listener
	// only if a name is set here. In the environment and in a flag names are
	// separated by commas.
	AllowHost []string `key:"allow_host"`

	// List files of electorates, one group/1 claim each. In the environment
	// and in a flag the paths are separated by commas.
	Group []string `key:"group"`

	// Name of the log, constant for its whole life. When it is empty the name
	// in the journal counts, which is drawn at random at the first start.
	Origin string `key:"origin"`

	// Lifetime in milliseconds of a challenge whose client asks for none.
	TTLMillis int `key:"ttl_ms" default:"120000" range:"1000..600000"`

	// Requests that may be pending at a time; beyond it new ones are refused
	// as overloaded. One with long parameters counts once for each started 256
	// bytes of them, so that this bounds memory too.
	MaxSessions int `key:"max_sessions" default:"100000" range:"1..2000000"`

	// Requests that one epoch issues at most; when an eighth of them is left, the
	// next epoch takes over. The core keeps 64 bytes of each in memory for as long
	// as the epoch lasts.
	MaxIssued uint64 `key:"max_issued" default:"1048576" range:"1..16777216"`

	// When epochs are rotated: by max_age and max_issued (auto), or only when an
	// operator asks for it (manual). With manual an epoch that has issued
	// max_issued requests refuses new ones as draining.
	Rotation string `key:"rotation" default:"auto" oneof:"auto manual"`

	// Age at which an epoch is rotated, up to a tenth earlier at random; 0s means
	// never.
	MaxAge time.Duration `key:"max_age" default:"24h" range:"0s..8760h"`

	// Time of the day, in UTC, in which epochs are rotated by age, such as
	// 02:00-04:00: an epoch that has reached max_age is rotated at a random moment
	// of the present or next such time. The default is any time.
	RotationWindow string `key:"rotation_window"`

	// Proofs verified at a time; 0 means one for each processor.
	VerifyWorkers int `key:"verify_workers" default:"0" range:"0..1024"`

	// Who proves pushed events: local starts a prover process, none refuses
	// them.
	Prover string `key:"prover" default:"local" oneof:"local none"`

	// Proofs that the local prover makes at a time; 0 means one for each
	// processor.
	ProverWorkers int `key:"prover_workers" default:"0" range:"0..1024"`

	// Pushed events that may wait for the prover.
	ProverQueue int `key:"prover_queue" default:"64" range:"1..65536"`

	// Least protection grade that signer and tagger must reach, A to D; the
	// server does not start below it, and says what is missing. D, which
	// protects nothing, needs allow_development_grade too.
	MinGrade string `key:"min_grade" default:"B" oneof:"A B C D"`

	// Let min_grade be D, for development: keys may then lie in ordinary memory
	// of a process that is not confined.
	AllowDevelopmentGrade bool `key:"allow_development_grade" default:"false"`

	// First of the five user ids that signer, tagger, prover, server and notifier
	// run as if the server is started as root; with 0 they stay root, the server
	// without capabilities, and do not reach grade A.
	ChildUID int `key:"child_uid" default:"65520" range:"0..2147483640"`

	// Hardware that attests the keys of an epoch: none, a TPM 2.0 (tpm), or the
	// kernel of a confidential virtual machine, SEV-SNP or TDX (tsm). The
	// evidence is published and identifies the machine permanently. With tpm or
	// tsm no epoch opens without evidence; auto uses the hardware that there
	// is, or none, and does not wait for it.
	Attestation string `key:"attestation" default:"none" oneof:"none auto tpm tsm"`

	// Device of the TPM, or the Unix socket of an emulator.
	TPM string `key:"tpm" default:"/dev/tpmrm0"`

	// Deaths of signer or tagger within death_window that freeze acceptance; 0
	// means never. A sandbox that kills a child may have stopped an intrusion.
	// Only a commander can thaw.
	DeathLimit int `key:"death_limit" default:"5" range:"0..1000"`

	// Time in which death_limit deaths freeze acceptance.
	DeathWindow time.Duration `key:"death_window" default:"10m" range:"1s..24h"`

	// Pause between two audits of the data directory by the server itself; 0s
	// means none. An audit uses a tenth of one processor and verifies every
	// proof again. A difference freezes acceptance.
	AuditEvery time.Duration `key:"audit_every" default:"24h" range:"0s..8760h"`

	// Committed leaves that the published log may lag behind before acceptance
	// is refused as ledger_unavailable.
	MaxLag uint64 `key:"max_lag" default:"4096" range:"1..1000000"`

	// Destinations of alerts and of checkpoints for cosigners: host names, addresses, and
	// networks, each with a port, such as alerts.example.org, 127.0.0.1:9093 or
	// 192.0.2.0/24:8443. One without a port allows port 443. Without a destination no
	// process of the server may connect to another machine, and alerts are in the log and
	// in td admin alerts only. A name allows its public addresses; addresses that are
	// loopback, private or link-local need a network here. In the environment and in a
	// flag they are separated by commas.
	NotifyAllow []string `key:"notify_allow"`

	// File of certificates in PEM, of authorities that these destinations may have
	// their certificates from, besides those that the system trusts.
	NotifyCA string `key:"notify_ca"`

	// Policy file that names this log and its cosigners, each key with the URL of its
	// cosigner: witness NAME KEY URL. The newest checkpoint is submitted to all of them,
	// at most once a second, and is published with the signatures that verify. Nothing
	// waits for them. notify_allow has to allow the URLs, 8 at most. See
	// docs/how-to/cosign.md.
	Cosigners string `key:"cosigners"`

	// Pause between two looks at the counters and gauges that alerts are about.
	AlertEvery time.Duration `key:"alert_every" default:"15s" range:"1s..10m"`

	// Time that counters cover for alerts; it is rounded to 1 to 20 times
	// alert_every.
	AlertWindow time.Duration `key:"alert_window" default:"1m" range:"1s..1h"`

	// Time for which an alert goes on firing once its value is clear.
	AlertKeep time.Duration `key:"alert_keep" default:"10m" range:"1s..24h"`

	// Thresholds of alert rules other than those that td admin alerts rules lists,
	// such as WrongTags=30/10 (fires at 30, clears below 10), or WrongTags=off. In
	// the environment and in a flag they are separated by commas.
	AlertRules []string `key:"alert_rules"`

	// Pause between two heartbeats to each webhook, whose absence means that alerts
	// do not arrive; 0s means none.
	AlertHeartbeat time.Duration `key:"alert_heartbeat" default:"5m" range:"0s..24h"`

	// Whether detectors look for anomalies in requests and in what is measured. Their
	// verdicts are alerts, and in td admin anomalies. See docs/anomalies.md.
	Anomaly string `key:"anomaly" default:"on" oneof:"on off"`

	// Time for which verdicts about anomalies are kept with their evidence, at most
	// 10,000. They name clients, and networks of addresses (/24, IPv6: /48).
	AnomalyKeep time.Duration `key:"anomaly_keep" default:"2160h" range:"1h..8760h"`

	// Time a client has to send the body of its request.
	BodyTimeout time.Duration `key:"body_timeout" default:"10s" range:"100ms..10m"`

	// Time that requests in work have to end when the server stops.
	ShutdownGrace time.Duration `key:"shutdown_grace" default:"10s" range:"0s..10m"`

	// Where the address of a client comes from, by which it is limited: the
	// connection (peer), the header X-Forwarded-For or the header Forwarded of a
	// trusted proxy, or the PROXY protocol, which trusted proxies must speak then. No
	// other header is read. See docs/limits.md.
	ClientAddress string `key:"client_address" default:"peer" oneof:"peer x-forwarded-for forwarded proxy-protocol"`

	// Addresses and networks of the proxies before this server, such as 10.0.0.0/8.
	// A proxy is not trusted because its address is private or loopback. They are not
	// bounded by conns_per_address, and get no penalty.
	TrustedProxies []string `key:"trusted_proxies"`

	// Limit clients on a loopback address as others are. By default those that come
	// without a proxy are limited by limit_total and limit_all alone.
	LimitLoopback bool `key:"limit_loopback" default:"false"`

	// Connections that one address (IPv6: one /64) may have open; 0 means any number.
	// Loopback addresses are not bounded.
	ConnsPerAddress int `key:"conns_per_address" default:"32" range:"0..1000000" hot:"true"`

	// Requests of one address for receipts, claims, epochs and the log.
	LimitRead string `key:"limit_read" default:"50/s burst 100" kind:"quota" hot:"true"`

	// Challenges and pushed events of one address.
	LimitIssue string `key:"limit_issue" default:"5/s burst 20" kind:"quota" hot:"true"`

	// Proofs of one address.
	LimitSubmit string `key:"limit_submit" default:"5/s burst 20" kind:"quota" hot:"true"`

	// Receipts that one address has verified by this server.
	LimitVerify string `key:"limit_verify" default:"5/s burst 20" kind:"quota" hot:"true"`

	// Failed validations of one address or API client, such as wrong tags and false
	// proofs. When they are used up, it may only read until one is available again.
	LimitFailures string `key:"limit_failures" default:"1/30s burst 5" kind:"quota" hot:"true"`

	// By how much the addresses of one network together may exceed the limits of one
	// address: those of a /24 (IPv6: /56), of a /16 (/48), and of a /32 of IPv6. 0 sets
	// no limit.
	LimitNetworks []string `key:"limit_networks" default:"8,32,128" hot:"true"`

	// Units of cost of one API client, which is not limited by its address. See
	// limit_costs.
	LimitClient string `key:"limit_client" default:"400/s burst 800" kind:"quota" hot:"true"`

	// Units of cost of one API client over a long time.
	LimitClientDay string `key:"limit_client_day" default:"800000/24h burst 800000" kind:"quota" hot:"true"`

	// Units of cost of all requests for one claim.
	LimitClaim string `key:"limit_claim" default:"off" kind:"quota" hot:"true"`

	// Requests of all clients together, for read, issue, submit or verify, such as
	// "issue 100/s burst 200". The default is any number.
	LimitTotal []string `key:"limit_total" hot:"true"`

	// Units of cost of all requests together.
	LimitAll string `key:"limit_all" default:"off" kind:"quota" hot:"true"`

	// Units of cost of one request to read, issue, submit and verify.
	LimitCosts []string `key:"limit_costs" default:"1,2,6,6" hot:"true"`

	// Places in the table of addresses, each of 16 bytes; all tables together have
	// 1.7 times as many. An address needs a place until its limit is available in
	// full again.
	LimitPlaces int `key:"limit_places" default:"262144" range:"1024..16777216"`

	// Send the fields RateLimit and RateLimit-Policy of a draft of the IETF to API
	// clients, and to others if they are refused.
	LimitFields bool `key:"limit_fields" default:"false"`

	// Whether sources that misbehave get penalties by themselves: raised cost, a
	// longer Retry-After, a block for a time. dry-run lists and logs them and changes
	// nothing.
	Response string `key:"response" default:"dry-run" oneof:"off dry-run on" hot:"true"`

	// Time of the first block; each further one of the same source is twice as long.
	ResponseBlock time.Duration `key:"response_block" default:"5m" range:"1s..24h" hot:"true"`

	// Time of the longest block, and for how long the ones before are remembered.
	ResponseLongest time.Duration `key:"response_longest" default:"24h" range:"1s..168h" hot:"true"`

	// Penalties at a time.
	ResponseMost int `key:"response_most" default:"10000" range:"0..10000" hot:"true"`

	// Percentage of the requests that blocks may refuse; beyond it a blocked source is
	// slowed.
	ResponseShare int `key:"response_share" default:"5" range:"0..100" hot:"true"`

	// Least level of what is logged.
	LogLevel string `key:"log_level" default:"info" oneof:"debug info warn error" hot:"true"`

	// Form of the log on standard error: text for people, json for machines.
	LogFormat string `key:"log_format" default:"text" oneof:"text json"`

	// How addresses of clients, and networks that alerts are about, appear in the log and
	// in a record: as they are (full), or replaced by an address of fd00::/8 that depends
	// on a key drawn at the start (hash). td admin alerts, what is sent to sinks and
	// lines about commands that name a network have it as it is.
	LogAddresses string `key:"log_addresses" default:"full" oneof:"full hash"`

	// File to which each request and each change of state is written as a JSON line, for
	// a later replay. If it exists, the server writes to the file with the next number
	// beside it, FILE.1 to FILE.99, and overwrites none. It holds no tag, no proof and no
	// part of an event, and can be read by its owner alone.
	Record string `key:"record"`

	// Greatest size of all files of the record together, in MiB. The record ends there,
	// and a server without room for one starts without it and says so in its log.
	RecordMiB uint64 `key:"record_mib" default:"256" range:"1..1048576"`

	file    string            // that was read, or ""
	sources map[string]string // key -> where its value came from
	notes   []string
}

// Off is the value of Config.Ops for no listener.
const Off = "off"

// The values of Config.ClientAddress.
const (
	AddressPeer      = "peer"
	AddressXFF       = "x-forwarded-for"
	AddressForwarded = "forwarded"
	AddressPROXY     = "proxy-protocol"
)

// The values of Config.Response.
const (
	ResponseOff    = "off"
	ResponseDryRun = "dry-run"
	ResponseOn     = "on"
)

// AddressesHashed is the value of Config.LogAddresses for pseudonyms.
const AddressesHashed = "hash"

// The values of Config.Rotation.
const (
	RotationAuto   = "auto"
	RotationManual = "manual"
)

// The values of Config.Prover.
const (
	ProverLocal = "local"
	ProverNone  = "none"
)

// TTL returns ttl_ms as a duration.
func (c *Config) TTL() time.Duration { return time.Duration(c.TTLMillis) * time.Millisecond }

// Window returns the bounds of rotation_window as times since midnight, equal if it is
// any time.
func (c *Config) Window() (from, to time.Duration) {
	from, to, _ = parseWindow(c.RotationWindow)
	return from, to
}

// parseWindow parses HH:MM-HH:MM.
func parseWindow(text string) (from, to time.Duration, ok bool) {
	if text == "" {
		return 0, 0, true
	}
	first, last, _ := strings.Cut(text, "-")
	midnight, _ := time.Parse("15:04", "00:00")
	begin, err := time.Parse("15:04", first)
	end, lastErr := time.Parse("15:04", last)
	if err != nil || lastErr != nil || begin.Equal(end) {
		return 0, 0, false
	}
	return begin.Sub(midnight), end.Sub(midnight), true
}

// File returns the path of the file that was read, "" if none was.
func (c *Config) File() string { return c.file }

// Source returns where the value of a key came from: "default", "file PATH:LINE",
// "environment NAME" or "flag --NAME".
func (c *Config) Source(key string) string { return c.sources[key] }

// Notes returns sentences for the operator about what was ignored: environment
// variables that look like misspelt settings.
func (c *Config) Notes() []string { return c.notes }
