-- What a run that sends the same request once must know beside its rows. Made when it begins.

-- Requests, and the row that is sent, or was, for all that ask the same; NULL after a retry put it back.
CREATE TABLE IF NOT EXISTS requests (
    number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, line INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS senders ON requests (line) WHERE line IS NOT NULL;

-- Rows that another was sent for, or will have been: `same_as` is that one, once they have its answer.
CREATE TABLE IF NOT EXISTS twins (line INTEGER PRIMARY KEY, request INTEGER NOT NULL, same_as INTEGER);
CREATE INDEX IF NOT EXISTS open_twins ON twins (request, line) WHERE same_as IS NULL;
