-- Every table of an operator's data has its organisation, and every query on it names it (db/mod.rs).
CREATE TABLE organisation (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- JSON arrays: mail domains; CIDR ranges beside public addresses; ports beside the usual ones.
    domains TEXT NOT NULL,
    ranges TEXT NOT NULL,
    ports TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    organisation INTEGER REFERENCES organisation (id),
    login TEXT NOT NULL UNIQUE COLLATE NOCASE,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    totp BLOB,
    totp_step INTEGER NOT NULL DEFAULT 0,
    -- JSON array of SHA-256, hexadecimal.
    recovery TEXT NOT NULL DEFAULT '[]',
    is_open INTEGER NOT NULL DEFAULT 1,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    hash BLOB PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    form_key TEXT NOT NULL,
    -- 0 until the second factor is given.
    is_whole INTEGER NOT NULL,
    created INTEGER NOT NULL,
    seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    account INTEGER NOT NULL REFERENCES account (id),
    label TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    used INTEGER,
    revoked INTEGER
) STRICT;

CREATE TABLE job (
    id TEXT PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    template TEXT NOT NULL,
    text TEXT NOT NULL,
    author TEXT NOT NULL,
    created INTEGER NOT NULL,
    is_hidden INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX job_of ON job (organisation, created);

CREATE TABLE campaign (
    id TEXT PRIMARY KEY,
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    job TEXT NOT NULL REFERENCES job (id),
    -- As they were when it was launched.
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    template TEXT NOT NULL,
    text TEXT NOT NULL,
    only_cases TEXT NOT NULL,
    depth TEXT NOT NULL,
    parent TEXT,
    author TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL DEFAULT '',
    queued INTEGER NOT NULL,
    begun INTEGER,
    ended INTEGER,
    planned INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    verdict TEXT,
    -- The campaign without its cases and proofs, which are below.
    head TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX campaign_of ON campaign (organisation, queued);
CREATE INDEX campaign_waiting ON campaign (state, queued);

CREATE TABLE result (
    campaign TEXT NOT NULL REFERENCES campaign (id),
    -- In the order in which they ended.
    position INTEGER NOT NULL,
    case_id TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (campaign, position),
    UNIQUE (campaign, case_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE proof (
    campaign TEXT NOT NULL REFERENCES campaign (id),
    hash TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (campaign, hash)
) STRICT, WITHOUT ROWID;

-- Who did what; never changed.
CREATE TABLE act (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    organisation INTEGER,
    who TEXT NOT NULL,
    what TEXT NOT NULL
) STRICT;
