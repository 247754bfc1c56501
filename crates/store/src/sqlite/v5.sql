-- Format 5: what is given up may be sent again (ADR 3). Not released yet: it may still change.

-- What recognises the message of an entry if its sender sends it again; NULL: nothing was remembered of it. Empty: it may have been, by
-- an earlier format, which did not say as what: for a recipient given up, what the sender did in the second of the entry is
-- forgotten (a message twice rather than never).
ALTER TABLE queue_entry ADD COLUMN once BLOB;
UPDATE queue_entry SET once = x'' WHERE sender IS NOT NULL;
