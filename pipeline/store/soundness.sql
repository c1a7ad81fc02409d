-- The first thing in a checkpoint that no run writes: SQLite lets any column hold anything.
-- Of rows only those pending are looked at, and POSTs where they are read: a start must not cost
-- more for what is done.

SELECT 'a word that is no text under ' || key FROM meta WHERE typeof(value) <> 'text'
UNION ALL
SELECT 'the size or time of ' || name FROM files
WHERE typeof(size) <> 'integer' OR size < 0 OR typeof(mtime_ns) <> 'integer'
UNION ALL
SELECT 'row ' || line FROM rows INDEXED BY pending
WHERE place IS NULL AND (
   line < 1
   OR typeof(offset) <> 'integer' OR offset < 0
   OR typeof(size) <> 'integer' OR size NOT BETWEEN 0 AND 0x7fffffff
   OR typeof(seal) <> 'blob'
   OR typeof(id) NOT IN ('text', 'null')
   OR typeof(model) NOT IN ('text', 'null')
   OR typeof(kept) NOT IN ('blob', 'null')
   OR typeof(input_bound) <> 'integer'
   OR typeof(output_bound) NOT IN ('integer', 'null')
   OR typeof(state) <> 'text' OR state IN ('ok', 'failed', 'held')
   -- Nobody would ever end its wait.
   OR state = 'twin' AND NOT :keeps_twins
   OR typeof(at) NOT IN ('real', 'null')
   OR typeof(submits) <> 'integer' OR submits NOT BETWEEN 0 AND 0x7fffffff
   OR typeof(spent) <> 'integer' OR spent NOT BETWEEN 0 AND submits
   OR typeof(operation_id) NOT IN ('text', 'null')
   OR place_size IS NOT NULL OR place_seal IS NOT NULL
)
UNION ALL
SELECT 'the doubt of row ' || line FROM doubts
WHERE typeof(line) <> 'integer' OR typeof(model) NOT IN ('text', 'null')
   OR typeof(input_bound) <> 'integer' OR typeof(output_bound) NOT IN ('integer', 'null')
UNION ALL
SELECT 'the unknown usage of row ' || coalesce(line, '?') FROM unknowns
WHERE typeof(line) NOT IN ('integer', 'null') OR typeof(model) NOT IN ('text', 'null')
   OR typeof(input_bound) <> 'integer' OR typeof(output_bound) NOT IN ('integer', 'null')
UNION ALL
SELECT 'the sums of ' || outcome FROM tally
WHERE typeof(outcome) <> 'text' OR typeof(model) <> 'text' OR typeof(finish) <> 'text'
   OR typeof(day) <> 'text' OR typeof(rows) <> 'integer' OR typeof(unknown) <> 'integer' OR typeof(input) <> 'integer'
   OR typeof(completion) <> 'integer' OR typeof(reasoning) <> 'integer'
   OR typeof(total) <> 'integer'
LIMIT 1;
