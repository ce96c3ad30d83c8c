// Package limit decides how much of the server one source may use. It holds the address
// resolver, quotas, the failure budget, the bound on connections and the penalties of the
// automatic response.
//
// # Quotas
//
// A quota is a rate and a burst. A request must pass a ladder of them, the narrowest
// first:
//
//	without an API key  address (IPv4 /32, IPv6 /64), subnet (/24, /56), network (/16, /48), provider (IPv6 /32)
//	with an API key     client, client and day
//	both                claim, class of endpoint, everything
//
// Each is charged in turn. If one refuses, what the former ones were charged is returned,
// so a refused request costs nothing. Between charge and return a request of the same
// source on another goroutine can be refused too; none is admitted that should not be.
//
// A charge is the cost of the request. The quotas of addresses exist for each class, in
// requests of the usual cost of the class. The other quotas count units of cost.
//
// # Bounded memory
//
// Every bucket is one time (GCRA, the generic cell rate algorithm): the moment at which
// the bucket is full again. Buckets are in tables of fixed size without pointers. A bucket
// whose time has passed equals none, so its place can be taken; that of a live one never
// is. If there is no place, the next quota of the ladder is charged as much as the one
// without a place would have been, and that is counted as overflow. So a flood of new
// sources cannot make the server forget one that it limits.
//
// # What is never limited
//
// Requests of class [Health], and, by the quotas of addresses, clients and failures, a
// [Source] that is Local.
//
// # Failures
//
// A source has a budget of failed validations beside its quotas ([Limits.Failed]). When it
// is used up, the source issues, submits and verifies nothing until it is partly refilled;
// it reads as before. A client is charged itself, any other source by its address.
//
// # Penalties
//
// The automatic response ([Limits.Punish]) raises the cost of one source, then its
// Retry-After, then blocks it for a time. It is bounded in number and in its share of the
// traffic, and cannot block a network that several clients share.
//
// Time is an argument of every function. Nothing here starts a goroutine, reads a file or
// writes a log line.
package limit
