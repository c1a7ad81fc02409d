-- Every row that a retry put back, and what was known of it then; usage is NULL where it is not known.
CREATE TABLE IF NOT EXISTS retried (
    line INTEGER NOT NULL, at REAL NOT NULL, model TEXT, submits INTEGER NOT NULL,
    operation_id TEXT, input INTEGER, completion INTEGER, reasoning INTEGER, total INTEGER
)
