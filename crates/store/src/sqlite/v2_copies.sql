-- Format 2, the rest. Folders of formats 2 and 3 had been made before it came: it is applied wherever the table `copies` is missing.

-- Nobody looks for these any more: a folder's picture, or its rows in one range.
DROP INDEX message_deleted;

-- References to a body beyond the first one; refs is 1 or, if it was garbage then, 0.
CREATE TABLE copies (
    mailbox INTEGER NOT NULL,
    body INTEGER NOT NULL,
    more INTEGER NOT NULL,
    PRIMARY KEY (mailbox, body)
) WITHOUT ROWID;
INSERT INTO copies SELECT mailbox, id, refs - 1 FROM body WHERE refs > 1;
UPDATE body SET refs = 1 WHERE refs > 1;
-- Garbage is in runs, from body to last.
ALTER TABLE garbage ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
UPDATE garbage SET last = body;
