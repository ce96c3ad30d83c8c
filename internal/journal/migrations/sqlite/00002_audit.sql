-- +goose Up
-- Control leaves and incidents before this index were written by a version without
-- audit rows.
INSERT INTO meta (name, value) SELECT 'audited_from', CAST(next AS TEXT) FROM counter;

-- API clients. An index is given once.
CREATE TABLE clients (
    idx      INTEGER PRIMARY KEY CHECK (idx BETWEEN 1 AND 4294967295),
    id       TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),
    created  INTEGER NOT NULL,          -- Unix ms
    disabled INTEGER NOT NULL DEFAULT 0 -- Unix ms, 0 while it is enabled
) STRICT;

-- Their keys, of which only SHA-256 of the text is stored.
CREATE TABLE keys (
    id      BLOB PRIMARY KEY CHECK (length(id) = 5),
    client  INTEGER NOT NULL REFERENCES clients (idx),
    digest  BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    scopes  TEXT NOT NULL,
    created INTEGER NOT NULL,           -- Unix ms
    expires INTEGER NOT NULL,           -- Unix ms, 0 for never
    revoked INTEGER NOT NULL DEFAULT 0  -- Unix ms, 0 while it is not revoked
) STRICT, WITHOUT ROWID;

-- Every request of the administration, refused ones included. The outcome of a row is
-- written once more at most.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY CHECK (id >= 1), -- without gaps
    time    INTEGER NOT NULL,                    -- Unix ms
    actor   TEXT NOT NULL,
    role    TEXT NOT NULL,
    action  TEXT NOT NULL,
    target  TEXT NOT NULL,
    reason  TEXT NOT NULL,
    salt    BLOB NOT NULL CHECK (length(salt) = 32),
    outcome TEXT NOT NULL CHECK (outcome IN ('requested', 'done', 'refused', 'not durable')),
    code    TEXT NOT NULL,                       -- of a refusal, else ''
    seq     INTEGER UNIQUE REFERENCES leaves (seq)
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit
WHEN OLD.outcome <> 'requested' OR NEW.id <> OLD.id OR NEW.time <> OLD.time OR NEW.actor <> OLD.actor OR NEW.role <> OLD.role
    OR NEW.action <> OLD.action OR NEW.target <> OLD.target OR NEW.reason <> OLD.reason OR NEW.salt <> OLD.salt OR NEW.seq IS NOT OLD.seq
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER clients_kept BEFORE DELETE ON clients
BEGIN SELECT RAISE(ABORT, 'clients are disabled, not removed'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER keys_kept BEFORE DELETE ON keys
BEGIN SELECT RAISE(ABORT, 'keys are revoked, not removed'); END;
-- +goose StatementEnd
