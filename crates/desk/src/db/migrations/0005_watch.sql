-- Tests that are run again and again, and what changed from one run to the next.
CREATE TABLE watch (
    job TEXT PRIMARY KEY REFERENCES job (id),
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    every_hours INTEGER NOT NULL,
    -- Minute of the day in Paris, when it is at a time.
    at_minute INTEGER,
    depth TEXT NOT NULL,
    author TEXT NOT NULL,
    -- When the next one is due.
    next INTEGER NOT NULL,
    -- Later runs are compared with this one and those after it, whatever was before.
    reference TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX watch_next ON watch (next);

-- 1: run by a watch.
ALTER TABLE campaign ADD COLUMN is_watch INTEGER NOT NULL DEFAULT 0;

CREATE TABLE drift (
    campaign TEXT PRIMARY KEY REFERENCES campaign (id),
    organisation INTEGER NOT NULL REFERENCES organisation (id),
    job TEXT NOT NULL REFERENCES job (id),
    -- The run before.
    previous TEXT NOT NULL,
    at INTEGER NOT NULL,
    worse INTEGER NOT NULL,
    -- The cases whose verdict is another.
    json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX drift_of ON drift (organisation, at);
