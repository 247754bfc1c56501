-- Identities at an OpenID provider: (issuer, subject) opens one account at most, and an account has one at most.
CREATE TABLE identity (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account INTEGER NOT NULL UNIQUE REFERENCES account (id),
    -- 1: made by the configuration's grants, and follows them.
    is_granted INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

-- A session that the provider opened; whether its second factor stands for ours; the provider's name for its own session.
ALTER TABLE session ADD COLUMN is_federated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN is_strong INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN provider_session TEXT;

-- The signature of a report, with the octets that were signed.
CREATE TABLE signature (
    campaign TEXT PRIMARY KEY REFERENCES campaign (id),
    report BLOB NOT NULL,
    cms BLOB NOT NULL,
    signer TEXT NOT NULL,
    authority TEXT NOT NULL,
    serial TEXT NOT NULL,
    signed TEXT,
    sha256 TEXT NOT NULL,
    author TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
