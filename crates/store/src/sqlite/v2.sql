-- Format 2: what complete IMAP, encrypted bodies and conversations need. Not released yet: it may still change.

-- SAVEDATE (RFC 8514), and the conversation (RFC 8474); 0 is unknown.
ALTER TABLE message ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN thread INTEGER NOT NULL DEFAULT 0;
UPDATE message SET saved = max(0, min(internal_date, 4294967295));

-- Expunges up to this MODSEQ may be forgotten (RFC 7162 §3.2.7).
ALTER TABLE folder ADD COLUMN expunged_floor INTEGER NOT NULL DEFAULT 0;

-- Access lists of folders (RFC 4314): who, and their letters.
CREATE TABLE folder_access (
    mailbox INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    grantee TEXT NOT NULL,                -- a national identifier, or anyone
    rights TEXT NOT NULL,
    PRIMARY KEY (mailbox, folder, grantee)
) WITHOUT ROWID;

-- Annotations (RFC 5464); folder 0 is the mailbox itself, an empty owner is everybody.
CREATE TABLE annotation (
    mailbox INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    owner TEXT NOT NULL,
    entry TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (mailbox, folder, owner, entry)
) WITHOUT ROWID;
