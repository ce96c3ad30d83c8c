package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
)

// addOffline makes an API client in the journal of a server that does not run, with the
// audit row that the server would write. Who may write the journal is a commander.
func addOffline(ctx context.Context, data string, r *admin.AddKeyRequest) (_ *admin.NewKey, err error) {
	if err := principal.CheckClientID(r.Client); err != nil {
		return nil, err
	}
	scopes := principal.AllScopes()
	if r.Scopes != "" {
		if scopes, err = principal.ParseScopes(r.Scopes); err != nil {
			return nil, err
		}
	}
	j, err := journal.Open(ctx, journal.Config{
		Path: filepath.Join(data, datadir.JournalFile), MustExist: true,
		BeforeUpgrade: func(ctx context.Context, from, _ int64) error {
			_, err := datadir.BackupBeforeUpgrade(ctx, data, from, time.Now())
			return err
		},
	})
	if err != nil {
		return nil, fault.New(fault.Config, fmt.Sprintf("the journal does not open: %s", strings.TrimPrefix(err.Error(), "journal: ")),
			"a running server adds clients without --offline; td serve on a loopback address makes a new data directory")
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- j.Run(run) }() // ends before this function returns
	defer func() {
		stop()
		err = errors.Join(err, <-ended, j.Close())
	}()
	now, key := time.Now(), principal.NewKey()
	record := principal.Record{ID: key.ID(), Digest: key.Digest(), Scopes: scopes}
	if r.Expires > 0 {
		record.Expires = now.Add(time.Duration(r.Expires) * time.Millisecond)
	}
	request := journal.Request{
		Actor: principal.Principal{Kind: principal.LocalUser, UID: uint32(os.Getuid())}, Role: principal.Commander,
		Action: "clients/add", Target: r.Client, Reason: r.Reason.Reason,
	}
	if err := j.AddClient(ctx, now, request, r.Client, record); err != nil {
		return nil, err
	}
	return &admin.NewKey{Done: admin.Done{Outcome: admin.OutcomeDone}, ID: key.ID().String(), Token: string(key.Token(r.Client))}, nil
}
