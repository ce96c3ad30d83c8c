-- +goose Up
-- What the detectors of anomalies have found, with its evidence. No leaf depends on it, and
-- old rows are deleted.
CREATE TABLE anomalies (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- is never given twice
    at       INTEGER NOT NULL,                  -- Unix ms
    since    INTEGER NOT NULL,                  -- Unix ms
    detector TEXT NOT NULL,
    kind     TEXT NOT NULL,
    scope    TEXT NOT NULL,
    cause    TEXT NOT NULL,
    observed REAL NOT NULL,
    expected REAL NOT NULL,
    score    REAL NOT NULL,
    sentence TEXT NOT NULL,
    agrees   TEXT NOT NULL,                     -- sentence of a verdict that agrees, or ''
    runbook  TEXT NOT NULL,
    evidence TEXT NOT NULL,                     -- JSON: names and values
    feedback TEXT NOT NULL DEFAULT ''           -- true, false, expected, or '' for none
) STRICT;
CREATE INDEX anomalies_at ON anomalies (at);
