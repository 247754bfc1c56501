-- Reports submitted to the regulator, as they were; and what the regulator decides.
CREATE TABLE submission (
    campaign TEXT PRIMARY KEY REFERENCES campaign (id),
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    note TEXT NOT NULL,
    -- Of the report, octet for octet.
    sha256 TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX submission_of ON submission (organisation, at);

CREATE TABLE decision (
    id INTEGER PRIMARY KEY,
    campaign TEXT NOT NULL REFERENCES submission (campaign),
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    -- A day, AAAA-MM-JJ: until when something is asked of the operator.
    due TEXT
) STRICT;
CREATE INDEX decision_of ON decision (campaign);

-- What the last pre-flight of a test found, and why a campaign was launched all the same.
CREATE TABLE checkup (
    job TEXT PRIMARY KEY REFERENCES job (id),
    at INTEGER NOT NULL,
    is_good INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE campaign ADD COLUMN override TEXT NOT NULL DEFAULT '';
