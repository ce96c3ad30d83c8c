package principal

import (
	"maps"
	"slices"
	"time"

	"github.com/terradourada/td/protocol"
)

// Client is a named API client.
type Client struct {
	Index    uint32 // from 1, never used again
	ID       string
	Created  time.Time
	Disabled time.Time // zero while the client is enabled
}

// Record is what is stored of a key.
type Record struct {
	ID      KeyID
	Client  uint32 // index
	Digest  protocol.Digest
	Scopes  Scopes
	Created time.Time
	Expires time.Time // first moment at which it is no longer valid; zero for never
	Revoked time.Time // zero while it is not revoked
}

// Valid reports whether the key is neither revoked nor expired.
func (r *Record) Valid(now time.Time) bool {
	return r.Revoked.IsZero() && (r.Expires.IsZero() || now.Before(r.Expires))
}

// Registry is the clients and their keys at one moment. It is never changed, so it
// can be used from any goroutine.
type Registry struct {
	clients map[uint32]*Client
	keys    map[KeyID]*Record
	decoy   Record // stands in for a key that is not there
}

// NewRegistry returns a registry of these clients and keys. A key whose client is missing
// is left out.
func NewRegistry(clients []Client, keys []Record) *Registry {
	r := &Registry{clients: make(map[uint32]*Client, len(clients)), keys: make(map[KeyID]*Record, len(keys))}
	for i := range clients {
		r.clients[clients[i].Index] = &clients[i]
	}
	for i := range keys {
		if r.clients[keys[i].Client] != nil {
			r.keys[keys[i].ID] = &keys[i]
		}
	}
	k := NewKey() // its text exists nowhere
	r.decoy = Record{ID: k.ID(), Digest: k.Digest()}
	return r
}

// Authenticate returns the client whose key has this text. Every refusal has the code
// unauthenticated and the same text, which repeats nothing.
func (r *Registry) Authenticate(text string, now time.Time) (Principal, error) {
	key, malformed := ParseKey(text)
	record, known := r.keys[key.ID()]
	if !known {
		record = &r.decoy
	}
	client, named := r.clients[record.Client]
	if !named {
		client = &Client{}
	}
	given := digest(text)
	ok := given.Equal(record.Digest)
	ok = ok && malformed == nil && known && named && record.Valid(now) && client.Disabled.IsZero()
	if !ok {
		return Principal{}, protocol.Fail(protocol.CodeUnauthenticated, "the API key is not valid: it is malformed, unknown, expired or revoked")
	}
	return Principal{Kind: APIClient, Client: client.ID, Index: client.Index, Key: record.ID, scopes: record.Scopes}, nil
}

// Equal reports whether two registries hold the same.
func (r *Registry) Equal(o *Registry) bool {
	sameClient := func(a, b *Client) bool {
		return a.Index == b.Index && a.ID == b.ID && a.Created.Equal(b.Created) && a.Disabled.Equal(b.Disabled)
	}
	sameKey := func(a, b *Record) bool {
		return a.ID == b.ID && a.Client == b.Client && a.Digest == b.Digest && a.Scopes.text == b.Scopes.text &&
			a.Created.Equal(b.Created) && a.Expires.Equal(b.Expires) && a.Revoked.Equal(b.Revoked)
	}
	return maps.EqualFunc(r.clients, o.clients, sameClient) && maps.EqualFunc(r.keys, o.keys, sameKey)
}

// Clients returns all clients in the order in which they were made.
func (r *Registry) Clients() []Client {
	all := make([]Client, 0, len(r.clients))
	for _, c := range r.clients {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Client) int { return int(int64(a.Index) - int64(b.Index)) })
	return all
}

// Client returns the client of this id.
func (r *Registry) Client(id string) (Client, bool) {
	for _, c := range r.clients {
		if c.ID == id {
			return *c, true
		}
	}
	return Client{}, false
}

// Keys returns the keys of a client, the latest first.
func (r *Registry) Keys(index uint32) []Record {
	var all []Record
	for _, k := range r.keys {
		if k.Client == index {
			all = append(all, *k)
		}
	}
	slices.SortFunc(all, func(a, b Record) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return all
}

// Usable reports whether any client can authenticate itself.
func (r *Registry) Usable(now time.Time) bool {
	for _, k := range r.keys {
		if k.Valid(now) && r.clients[k.Client].Disabled.IsZero() {
			return true
		}
	}
	return false
}
