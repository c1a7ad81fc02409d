-- The tables of a folder's allowance. Times are the file's own, which moments are tied to by anchor.

-- One row: see sharing.Anchor.
CREATE TABLE anchor (
    boot TEXT NOT NULL, offset REAL NOT NULL, at REAL NOT NULL, wall REAL NOT NULL,
    CHECK (typeof(boot) = 'text' AND typeof(offset) = 'real' AND abs(offset) < 1e12),
    CHECK (typeof(at) = 'real' AND abs(at) < 1e12 AND typeof(wall) = 'real' AND abs(wall) < 1e12)
);

-- What each run that is present has of each kind of call: see sharing.Sharer.
CREATE TABLE sharers (
    kind TEXT NOT NULL, slot INTEGER NOT NULL, rates TEXT NOT NULL,
    held INTEGER NOT NULL, had INTEGER NOT NULL, want INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (kind, slot),
    CHECK (typeof(kind) = 'text' AND typeof(rates) = 'text'),
    CHECK (typeof(slot) = 'integer' AND typeof(held) = 'integer' AND held >= 0),
    CHECK (typeof(had) = 'integer' AND typeof(want) = 'integer' AND typeof(until) = 'real')
) WITHOUT ROWID;

-- For which lengths of window ends are kept, and when a run last came that has it.
CREATE TABLE windows (
    kind TEXT NOT NULL, seconds REAL NOT NULL, used REAL NOT NULL,
    PRIMARY KEY (kind, seconds),
    CHECK (typeof(seconds) = 'real' AND seconds > 0 AND typeof(used) = 'real')
) WITHOUT ROWID;

-- Calls that ended by a moment.
CREATE TABLE ends (
    kind TEXT NOT NULL, seconds REAL NOT NULL, at REAL NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (kind, seconds, at),
    CHECK (typeof(seconds) = 'real' AND typeof(at) = 'real' AND abs(at) < 1e12),
    CHECK (typeof(calls) = 'integer' AND calls > 0)
) WITHOUT ROWID;
