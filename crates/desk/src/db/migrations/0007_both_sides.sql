-- What the last pre-flight of a test found; and what was found before a campaign was launched: JSON arrays.
ALTER TABLE checkup ADD COLUMN findings TEXT NOT NULL DEFAULT '[]';
ALTER TABLE campaign ADD COLUMN checkup TEXT NOT NULL DEFAULT '[]';

-- A second factor that somebody else took away: when, and who. Without a factor since, the account must enrol anew.
ALTER TABLE account ADD COLUMN factor_reset INTEGER;
ALTER TABLE account ADD COLUMN factor_reset_by TEXT NOT NULL DEFAULT '';

-- National identifiers of an operator (1 FINESS, 3 SIRET…), JSON array; what the certificate of a signer says of its organisation, and whether
-- the two were compared and agreed.
ALTER TABLE organisation ADD COLUMN identifiers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE signature ADD COLUMN organisation TEXT;
ALTER TABLE signature ADD COLUMN identifiers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE signature ADD COLUMN is_bound INTEGER NOT NULL DEFAULT 0;

-- Regulators have tokens too: those are of no operator. Numbers are given anew, so that both engines go on after the last one.
CREATE TABLE token_of (
    id INTEGER PRIMARY KEY,
    organisation INTEGER REFERENCES organisation (id),
    account INTEGER NOT NULL REFERENCES account (id),
    label TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    used INTEGER,
    revoked INTEGER
) STRICT;
INSERT INTO token_of (organisation, account, label, hash, created, used, revoked)
    SELECT organisation, account, label, hash, created, used, revoked FROM token ORDER BY id;
DROP TABLE token;
ALTER TABLE token_of RENAME TO token;
