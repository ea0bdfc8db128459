-- One row, which every change updates first: it counts the changes and gives out ids, and changes wait for each other at it.
CREATE TABLE navigation_state (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    last_mapping BIGINT NOT NULL,
    last_change BIGINT NOT NULL
);
INSERT INTO navigation_state (id, version, last_mapping, last_change) VALUES (1, 0, 0, 0);

CREATE TABLE navigation_mappings (
    id BIGINT PRIMARY KEY,
    virtual_model_name TEXT NOT NULL,
    provider_model_name TEXT NOT NULL,
    provider_name TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    row_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (virtual_model_name, provider_name)
);
CREATE INDEX navigation_mappings_provider ON navigation_mappings (provider_name);

CREATE TABLE navigation_providers (
    name TEXT PRIMARY KEY,
    health TEXT NOT NULL,
    detail TEXT NOT NULL,
    since BIGINT NOT NULL
);

-- Who changed what. An import writes a row for each mapping that it changes, all with one version.
CREATE TABLE navigation_changes (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    in_bulk BIGINT NOT NULL,
    mapping_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    value_before TEXT NOT NULL,
    value_after TEXT NOT NULL
);
CREATE INDEX navigation_changes_version ON navigation_changes (version, id);
CREATE INDEX navigation_changes_mapping ON navigation_changes (mapping_id, id);
