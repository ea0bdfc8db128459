CREATE TABLE clinic_audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT
);
CREATE INDEX clinic_audit_actor ON clinic_audit (actor, id);
CREATE INDEX clinic_audit_subject ON clinic_audit (subject, id);
CREATE INDEX clinic_audit_action ON clinic_audit (action, id);

CREATE TABLE clinic_bans (
    user_id TEXT PRIMARY KEY,
    until BIGINT NOT NULL,
    reason TEXT NOT NULL,
    banned_by TEXT NOT NULL,
    banned_at BIGINT NOT NULL
);
CREATE INDEX clinic_bans_until ON clinic_bans (until);

CREATE TABLE clinic_consultations (
    id TEXT PRIMARY KEY,
    room TEXT NOT NULL UNIQUE,
    opens BIGINT NOT NULL,
    closes BIGINT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX clinic_consultations_created ON clinic_consultations (created_at, id);
CREATE INDEX clinic_consultations_closes ON clinic_consultations (closes, id);

CREATE TABLE clinic_participants (
    user_id TEXT NOT NULL,
    consultation_id TEXT NOT NULL REFERENCES clinic_consultations (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, consultation_id)
);
CREATE INDEX clinic_participants_consultation ON clinic_participants (consultation_id, user_id);

-- Users who are being erased. The row goes with the last of what there was of the user.
CREATE TABLE clinic_erasures (
    user_id TEXT PRIMARY KEY,
    pseudonym TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at BIGINT NOT NULL
);

-- Which instance does what only one may do at a time.
CREATE TABLE clinic_leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);
