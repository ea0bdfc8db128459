CREATE TABLE access_key (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT
);

CREATE INDEX access_key_kind ON access_key (kind, id);
CREATE UNIQUE INDEX access_key_name ON access_key (kind, name) WHERE revoked_at IS NULL;

CREATE TABLE access_key_secret (
    key_id TEXT NOT NULL REFERENCES access_key (id),
    number BIGINT NOT NULL,
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (key_id, number)
);
