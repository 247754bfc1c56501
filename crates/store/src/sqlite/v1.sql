-- Format 1. Numbers given once and for all (mailbox, queue entry) are AUTOINCREMENT: never reused.

-- The UIDVALIDITY given last, over all mailboxes: a folder made anew never gets an old one.
CREATE TABLE uid_validity (only INTEGER PRIMARY KEY CHECK (only = 1), last INTEGER NOT NULL);
INSERT INTO uid_validity VALUES (1, 0);

CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lookup TEXT NOT NULL UNIQUE,          -- the address as addresses are compared
    address TEXT NOT NULL,
    kind TEXT NOT NULL,                   -- PER, ORG, APP, CAB
    person TEXT,                          -- the titulaire: a person…
    structure TEXT,                       -- …or a structure
    label TEXT NOT NULL,
    quota_octets INTEGER,
    quota_messages INTEGER,
    created_at INTEGER NOT NULL,
    last_authentication INTEGER,
    octets INTEGER NOT NULL DEFAULT 0,    -- usage, with every message in the same transaction
    messages INTEGER NOT NULL DEFAULT 0,
    next_body INTEGER NOT NULL DEFAULT 1,
    next_folder INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE mailbox_right (
    mailbox INTEGER NOT NULL,
    person TEXT NOT NULL,
    role INTEGER NOT NULL,                -- 0 co-holder, 1 member, 2 delegate
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (mailbox, person, role)
) WITHOUT ROWID;

CREATE TABLE folder (
    mailbox INTEGER NOT NULL,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    special_use TEXT,
    subscribed INTEGER NOT NULL,
    selectable INTEGER NOT NULL,
    uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL DEFAULT 1,
    modseq INTEGER NOT NULL DEFAULT 1,    -- the highest given
    keywords TEXT NOT NULL DEFAULT '[]',  -- JSON; the place is the bit
    PRIMARY KEY (mailbox, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX folder_name ON folder (mailbox, name);

CREATE TABLE message (
    mailbox INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    size INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    internal_date INTEGER NOT NULL,
    body INTEGER NOT NULL,
    PRIMARY KEY (mailbox, folder, uid)
) WITHOUT ROWID;
-- What EXPUNGE looks for, without reading the folder; costs nothing for other messages.
CREATE INDEX message_deleted ON message (mailbox, folder, uid) WHERE (flags & 8) != 0;

-- A message's octets and structure, shared by its copies in one mailbox.
CREATE TABLE body (
    mailbox INTEGER NOT NULL,
    id INTEGER NOT NULL,
    size INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    file TEXT,                            -- large ones: the name of the file; otherwise in content
    structure BLOB NOT NULL,
    PRIMARY KEY (mailbox, id)
) WITHOUT ROWID;
CREATE INDEX body_file ON body (file) WHERE file IS NOT NULL;

-- Apart from body, so that reading structures does not walk over octets.
CREATE TABLE content (
    mailbox INTEGER NOT NULL,
    body INTEGER NOT NULL,
    octets BLOB NOT NULL,
    PRIMARY KEY (mailbox, body)
) WITHOUT ROWID;

-- Bodies nobody names any more, given back a few at a time; body 0 stands for all that is left of a mailbox.
CREATE TABLE garbage (mailbox INTEGER NOT NULL, body INTEGER NOT NULL, PRIMARY KEY (mailbox, body)) WITHOUT ROWID;

-- Which UIDs went at which MODSEQ (RFC 7162 VANISHED).
CREATE TABLE expunged (
    mailbox INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (mailbox, folder, modseq, uid)
) WITHOUT ROWID;

CREATE TABLE duplicate (
    mailbox INTEGER NOT NULL,
    key BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (mailbox, key)
) WITHOUT ROWID;

CREATE TABLE queue_entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sender INTEGER,
    return_path TEXT,
    return_full INTEGER,
    envelope_id TEXT,
    eight_bit INTEGER NOT NULL,
    utf8 INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    file TEXT,
    octets BLOB                           -- last: reading the rest does not walk over it
);
CREATE INDEX queue_entry_file ON queue_entry (file) WHERE file IS NOT NULL;

CREATE TABLE queue_recipient (
    entry INTEGER NOT NULL,
    place INTEGER NOT NULL,
    address TEXT NOT NULL,
    notify INTEGER NOT NULL,              -- bits: 1 success, 2 failure, 4 delay, 8 explicit
    original TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL,
    last_error TEXT,
    delay_told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (entry, place)
) WITHOUT ROWID;
