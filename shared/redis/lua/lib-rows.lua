-- What the scripts know of rows and their counts: prepended to each of them after lib.lua; has no KEYS or ARGV of its own.
-- A row's `rev`. The store writes it as the last field, which spares the decoding, and the searching, of all the others.
local function revision(row)
  return string.match(string.sub(row, -24), '"rev":(%d+)}$') or tostring(cjson.decode(row).rev)
end

local counts = {'t_total', 't_pending', 't_open', 't_manual', 't_failed', 't_ok', 't_proven'}

-- How the phase stands once the counts (in the order of `counts`, as Redis has them) have changed by `delta`, and what is to be
-- set of them; a change that moves no count closes nothing.
-- The same lines as outcomeOf() in shared/rotation/rows.ts; test/redis/script-writes.test.ts holds them against each other.
local function outcome_after(stored, delta)
  local t, moved = {}, {}
  for n, field in ipairs(counts) do
    local by = delta[string.sub(field, 3)] or 0
    t[field] = (stored[n] or 0) + by
    if by ~= 0 then moved[#moved + 1] = field; moved[#moved + 1] = string.format('%d', t[field]) end
  end
  if #moved == 0 or t.t_open > 0 then return 'open', moved end
  if t.t_failed == 0 and t.t_pending > 0 then return 'wave', moved end
  if t.t_failed == 0 and t.t_proven > 0 then return 'all', moved end
  return (t.t_proven > 0 or t.t_pending > 0) and 'some' or 'none', moved
end

-- Moves a job as a change says: its fields, its events, the tasks that it orders.
local function move(job, events, seq, outbox, wake, change)
  set(job, change.fields) append(events, seq, wake, change.events, 1) post(outbox, change.tasks)
end
