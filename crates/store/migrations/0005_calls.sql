-- Calls between two users: a row from when a call begins, complete when it is over.
CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    caller TEXT NOT NULL,
    recipient TEXT NOT NULL,
    started BIGINT NOT NULL,
    accepted BIGINT,
    ended BIGINT,
    outcome TEXT NOT NULL,
    reason TEXT
);

CREATE INDEX calls_of_caller ON calls (caller, id);
CREATE INDEX calls_of_recipient ON calls (recipient, id);
CREATE INDEX calls_by_time ON calls (started);
