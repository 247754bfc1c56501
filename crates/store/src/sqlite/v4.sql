-- Format 4: clear text of earlier formats is wiped. Not released yet: it may still change.

-- A row as long as free pages may hold mail in clear, from before it was sealed.
CREATE TABLE clear_text (only INTEGER PRIMARY KEY CHECK (only = 1));
INSERT INTO clear_text SELECT 1 WHERE EXISTS (SELECT 1 FROM mailbox);
