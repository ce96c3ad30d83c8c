-- +goose Up
-- Evidence that hardware gave about an epoch: at most one for each, public.
CREATE TABLE attestations (
    epoch    BLOB PRIMARY KEY REFERENCES epochs (id),
    evidence BLOB NOT NULL CHECK (length(evidence) BETWEEN 1 AND 65536)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER attestations_fixed BEFORE UPDATE ON attestations
BEGIN SELECT RAISE(ABORT, 'attestations is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attestations_kept BEFORE DELETE ON attestations
BEGIN SELECT RAISE(ABORT, 'attestations is append-only'); END;
-- +goose StatementEnd
