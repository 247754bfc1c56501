-- Format 7: a folder's row says how many messages it has, so that SELECT is answered before they are read (ADR 31). Not released yet: it
-- may still change.

ALTER TABLE folder ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
UPDATE folder SET messages =
    (SELECT count(*) FROM message m WHERE m.mailbox = folder.mailbox AND m.folder = folder.id);
