-- Domains an operator says are its own, and what was found of their proof.
CREATE TABLE domain (
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    domain TEXT NOT NULL,
    -- To be published; of this operator and this domain only.
    token TEXT NOT NULL,
    asked INTEGER NOT NULL,
    checked INTEGER,
    -- When it was last seen published.
    proven INTEGER,
    finding TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (organisation, domain)
) STRICT, WITHOUT ROWID;
