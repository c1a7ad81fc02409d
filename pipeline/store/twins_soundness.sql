-- As soundness.sql, of rows that ask the same: those that wait, and what they wait for.

SELECT 'twin ' || line FROM twins INDEXED BY open_twins
WHERE same_as IS NULL AND (
   typeof(request) <> 'integer'
   OR NOT EXISTS (
      SELECT 1 FROM requests
      WHERE number = request AND (
         requests.line IS NULL
         -- A sender that is not there, or itself waits, would be waited for without end.
         OR EXISTS (
            SELECT 1 FROM rows
            WHERE rows.line = requests.line AND (place IS NOT NULL OR state <> 'twin')
         )
      )
   )
   OR NOT EXISTS (
      SELECT 1 FROM rows WHERE rows.line = twins.line AND state = 'twin' AND place IS NULL
   )
)
UNION ALL
SELECT 'row ' || line FROM rows INDEXED BY pending
WHERE place IS NULL AND state = 'twin'
   AND NOT EXISTS (SELECT 1 FROM twins WHERE twins.line = rows.line AND same_as IS NULL)
LIMIT 1;
