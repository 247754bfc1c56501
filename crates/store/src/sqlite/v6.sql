-- Format 6: flags given to many neighbours at once are one row (ADR 6). Not released yet: it may still change.

-- What became of the flags of the messages from first to last, in the order of the MODSEQs: (flags & kept) | given. A message whose row
-- has this MODSEQ or a higher one is not meant: it was changed, or came, since.
CREATE TABLE mark (
    mailbox INTEGER NOT NULL,
    folder INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    given INTEGER NOT NULL,
    PRIMARY KEY (mailbox, folder, modseq, first)
) WITHOUT ROWID;
