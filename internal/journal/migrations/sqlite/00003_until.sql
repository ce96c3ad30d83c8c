-- +goose Up
-- When a freeze ends by itself, Unix ms; 0 for never and for every other action. The
-- leaf's reason digest covers it.
ALTER TABLE audit ADD COLUMN until INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER audit_fixed;
-- +goose StatementBegin
CREATE TRIGGER audit_fixed BEFORE UPDATE ON audit
WHEN OLD.outcome <> 'requested' OR NEW.id <> OLD.id OR NEW.time <> OLD.time OR NEW.actor <> OLD.actor OR NEW.role <> OLD.role
    OR NEW.action <> OLD.action OR NEW.target <> OLD.target OR NEW.reason <> OLD.reason OR NEW.salt <> OLD.salt OR NEW.seq IS NOT OLD.seq
    OR NEW.until <> OLD.until
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
