-- Version 1 had no days: of rows that were finished then the day is not known.
INSERT INTO tally
SELECT outcome, model, finish, '', rows, unknown, input, completion, reasoning, total
FROM tally_of_1;
-- Nor did it know how much answers without usage can have cost: as much as any.
WITH RECURSIVE number(n) AS (
    SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < (SELECT max(unknown) FROM tally)
)
INSERT INTO unknowns
SELECT NULL, NULL, nullif(model, ''), 32768, NULL FROM tally JOIN number ON n <= unknown;
DROP TABLE tally_of_1;
INSERT OR REPLACE INTO meta VALUES ('undated', '1');
