-- The tables of a run's checkpoint, but for tally.sql. Read once, when the file is made.

CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Size and time of input, output and errors file when the run last knew them to be right.
CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER) WITHOUT ROWID;

-- Every row begun.
CREATE TABLE rows (
    line INTEGER PRIMARY KEY,
    -- where it stands in the input, and a digest of it
    offset INTEGER NOT NULL, size INTEGER NOT NULL, seal BLOB NOT NULL,
    -- NULL where the row brings none of its own
    id TEXT, model TEXT, kept BLOB,
    -- the most tokens that it can take
    input_bound INTEGER, output_bound INTEGER,
    -- its state, as facts.py writes it; once finished: ok, failed or held
    state TEXT NOT NULL, at REAL, submits INTEGER NOT NULL, spent INTEGER NOT NULL,
    operation_id TEXT,
    -- once finished: where its line stands in the output or errors file, and a digest of it
    place INTEGER, place_size INTEGER, place_seal BLOB
);
CREATE UNIQUE INDEX own_ids ON rows (id) WHERE id IS NOT NULL;
CREATE UNIQUE INDEX operations ON rows (operation_id) WHERE operation_id IS NOT NULL;
-- by time too, so that whoever looks finds the oldest operation of a hundred thousand at once
CREATE INDEX pending ON rows (state, at) WHERE place IS NULL;

-- POSTs of late, for the sliding windows; ended is 0 for one that was never sent.
CREATE TABLE sends (number INTEGER PRIMARY KEY, at REAL NOT NULL, ended REAL);

-- Every POST whose acceptance can't be known.
CREATE TABLE doubts (line INTEGER, at REAL, model TEXT, input_bound INTEGER, output_bound INTEGER);
