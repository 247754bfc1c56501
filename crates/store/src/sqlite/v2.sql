-- Format 2: what complete IMAP, encrypted bodies and conversations need. Not released yet: it may still change.

-- SAVEDATE (RFC 8514), and the conversation (RFC 8474); 0 is unknown.
ALTER TABLE message ADD COLUMN saved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN thread INTEGER NOT NULL DEFAULT 0;
UPDATE message SET saved = max(0, min(internal_date, 4294967295));

-- Conversations: which one a digested Message-ID leads to.
CREATE TABLE link (
    mailbox INTEGER NOT NULL,
    key INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    PRIMARY KEY (mailbox, key)
) WITHOUT ROWID;
ALTER TABLE mailbox ADD COLUMN next_thread INTEGER NOT NULL DEFAULT 1;
ALTER TABLE mailbox ADD COLUMN links INTEGER NOT NULL DEFAULT 0;    -- rows in link
-- Mailboxes upkeep has to look at, found without looking at the others; costs nothing for those.
CREATE INDEX mailbox_many_links ON mailbox (id) WHERE links > 4 * messages + 1000;

-- Expunges up to this MODSEQ were forgotten, perhaps (RFC 7162 §3.2.7).
ALTER TABLE folder ADD COLUMN expunged_floor INTEGER NOT NULL DEFAULT 0;
-- Format 1 forgot without a trace: every UID given is that of a message or of an expunge, unless some were forgotten.
UPDATE folder SET expunged_floor = modseq WHERE uid_next - 1 >
    (SELECT count(*) FROM message m WHERE m.mailbox = folder.mailbox AND m.folder = folder.id)
    + (SELECT count(*) FROM expunged e WHERE e.mailbox = folder.mailbox AND e.folder = folder.id);
-- A row is a run of UIDs, from uid to last, gone at the same MODSEQ.
ALTER TABLE expunged ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
UPDATE expunged SET last = uid;
ALTER TABLE folder ADD COLUMN expunged_runs INTEGER NOT NULL DEFAULT 0;    -- rows in expunged
UPDATE folder SET expunged_runs =
    (SELECT count(*) FROM expunged e WHERE e.mailbox = folder.mailbox AND e.folder = folder.id);
CREATE INDEX folder_many_runs ON folder (mailbox, id) WHERE expunged_runs > 10000;

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
