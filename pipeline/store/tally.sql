-- Sums over finished rows; '' is the run's own model, no finish, or a day that is not known.
CREATE TABLE tally (
    outcome TEXT, model TEXT, finish TEXT, day TEXT,
    rows INTEGER, unknown INTEGER,
    input INTEGER, completion INTEGER, reasoning INTEGER, total INTEGER,
    PRIMARY KEY (outcome, model, finish, day)
) WITHOUT ROWID;

-- Every operation whose usage will never be known.
CREATE TABLE unknowns (
    line INTEGER, at REAL, model TEXT, input_bound INTEGER, output_bound INTEGER
);
