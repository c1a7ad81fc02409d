-- Version 1 had no days: of rows that were finished then the day is not known.
INSERT INTO tally
SELECT outcome, model, finish, '', rows, unknown, input, completion, reasoning, total
FROM tally_of_1;
DROP TABLE tally_of_1;
INSERT OR REPLACE INTO meta VALUES ('undated', '1');
