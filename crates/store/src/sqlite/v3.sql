-- Format 3: every message once, encrypted, in a segment (ADR 5). Not released yet: it may still change.

-- Where the sealed octets are: a record of a segment (its head and payload). NULL: in `content` or a file, in clear (formats 1 and 2),
-- and the structure in clear too.
ALTER TABLE body ADD COLUMN segment INTEGER;
ALTER TABLE body ADD COLUMN place INTEGER;
ALTER TABLE body ADD COLUMN stored INTEGER;
ALTER TABLE queue_entry ADD COLUMN segment INTEGER;
ALTER TABLE queue_entry ADD COLUMN place INTEGER;
ALTER TABLE queue_entry ADD COLUMN stored INTEGER;

-- Whether the mailbox's data key was made: one that is missing was then destroyed or not brought back.
ALTER TABLE mailbox ADD COLUMN keyed INTEGER NOT NULL DEFAULT 0;

-- Keys to be destroyed: their mailbox is gone.
CREATE TABLE dead_key (mailbox INTEGER PRIMARY KEY);

-- Everything the log holds before this place is in the database; `store` names the data folder's log.
CREATE TABLE log (only INTEGER PRIMARY KEY CHECK (only = 1), segment INTEGER NOT NULL, place INTEGER NOT NULL);
INSERT INTO log VALUES (1, 0, 0);

-- Octets of a segment that nobody needs any more.
CREATE TABLE segment (id INTEGER PRIMARY KEY, dead INTEGER NOT NULL);
