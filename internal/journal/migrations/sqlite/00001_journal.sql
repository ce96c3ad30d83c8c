-- +goose Up
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The one counter row: every transaction that writes goes through it.
CREATE TABLE counter (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    next        INTEGER NOT NULL CHECK (next >= 0),    -- sequence of the next leaf
    time        INTEGER NOT NULL CHECK (time >= 0),    -- Unix ms of the last leaf
    withdrawals INTEGER NOT NULL CHECK (withdrawals BETWEEN 0 AND 4294967295), -- leaves that withdraw
    commits     INTEGER NOT NULL CHECK (commits >= 0), -- transactions with content
    touches     INTEGER NOT NULL,                      -- transactions without content
    sealed      INTEGER NOT NULL CHECK (sealed IN (0, 1))
) STRICT;
INSERT INTO counter (id, next, time, withdrawals, commits, touches, sealed) VALUES (1, 0, 0, 0, 0, 0, 0);

CREATE TABLE leaves (
    seq  INTEGER PRIMARY KEY CHECK (seq >= 0),
    type INTEGER NOT NULL CHECK (type BETWEEN 1 AND 6),
    leaf BLOB NOT NULL CHECK (length(leaf) BETWEEN 30 AND 65535)
) STRICT;

CREATE TABLE accepted (
    seq          INTEGER PRIMARY KEY REFERENCES leaves (seq),
    request_id   BLOB NOT NULL UNIQUE CHECK (length(request_id) = 16),
    anchor       BLOB NOT NULL UNIQUE CHECK (length(anchor) = 32),
    cm           BLOB NOT NULL UNIQUE CHECK (length(cm) = 32),
    proof_digest BLOB NOT NULL CHECK (length(proof_digest) = 32),
    claim        TEXT NOT NULL
) STRICT;

CREATE TABLE nullifiers (
    scope     BLOB NOT NULL CHECK (length(scope) = 32),
    nullifier BLOB NOT NULL CHECK (length(nullifier) = 32),
    seq       INTEGER NOT NULL REFERENCES accepted (seq),
    PRIMARY KEY (scope, nullifier)
) STRICT, WITHOUT ROWID;

-- An epoch is live from the leaf that opened it to the one that closed it,
-- unless it was revoked in between.
CREATE TABLE epochs (
    id             BLOB PRIMARY KEY CHECK (length(id) = 16),
    number         INTEGER NOT NULL UNIQUE CHECK (number >= 0),
    instance       BLOB NOT NULL CHECK (length(instance) = 16),
    checkpoint_key BLOB NOT NULL UNIQUE CHECK (length(checkpoint_key) = 32),
    opened         INTEGER NOT NULL REFERENCES leaves (seq),
    closed         INTEGER REFERENCES leaves (seq),
    accepted       INTEGER NOT NULL DEFAULT 0,
    issued         INTEGER REFERENCES accepted (seq) -- the first with the greatest root of the issued tree
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
    vk  BLOB PRIMARY KEY CHECK (length(vk) = 32),
    seq INTEGER NOT NULL REFERENCES leaves (seq)
) STRICT, WITHOUT ROWID;

-- operation 1 = issue, 2 = accept; vk = 32 zero bytes for all claims.
CREATE TABLE holds (
    operation INTEGER NOT NULL CHECK (operation IN (1, 2)),
    vk        BLOB NOT NULL CHECK (length(vk) = 32),
    PRIMARY KEY (operation, vk)
) STRICT, WITHOUT ROWID;

-- action 6 = a verifying key retired, 9 = an epoch revoked.
CREATE TABLE withdrawals (
    action INTEGER NOT NULL CHECK (action IN (6, 9)),
    target BLOB NOT NULL CHECK (length(target) = 32),
    seq    INTEGER NOT NULL REFERENCES leaves (seq),
    PRIMARY KEY (action, target)
) STRICT, WITHOUT ROWID;

-- Evidence that hardware gave about an epoch: at most one for each, public.
CREATE TABLE attestations (
    epoch    BLOB PRIMARY KEY REFERENCES epochs (id),
    evidence BLOB NOT NULL CHECK (length(evidence) BETWEEN 1 AND 65536)
) STRICT, WITHOUT ROWID;

-- What is in the log is never changed and never taken out.
-- +goose StatementBegin
CREATE TRIGGER leaves_fixed BEFORE UPDATE ON leaves
BEGIN SELECT RAISE(ABORT, 'leaves is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER leaves_kept BEFORE DELETE ON leaves
BEGIN SELECT RAISE(ABORT, 'leaves is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER accepted_fixed BEFORE UPDATE ON accepted
BEGIN SELECT RAISE(ABORT, 'accepted is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER accepted_kept BEFORE DELETE ON accepted
BEGIN SELECT RAISE(ABORT, 'accepted is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER nullifiers_fixed BEFORE UPDATE ON nullifiers
BEGIN SELECT RAISE(ABORT, 'nullifiers is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER nullifiers_kept BEFORE DELETE ON nullifiers
BEGIN SELECT RAISE(ABORT, 'nullifiers is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER withdrawals_fixed BEFORE UPDATE ON withdrawals
BEGIN SELECT RAISE(ABORT, 'withdrawals is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER withdrawals_kept BEFORE DELETE ON withdrawals
BEGIN SELECT RAISE(ABORT, 'withdrawals is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attestations_fixed BEFORE UPDATE ON attestations
BEGIN SELECT RAISE(ABORT, 'attestations is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attestations_kept BEFORE DELETE ON attestations
BEGIN SELECT RAISE(ABORT, 'attestations is append-only'); END;
-- +goose StatementEnd
