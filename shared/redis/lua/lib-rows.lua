-- What the scripts know of rows and their counts: prepended to each of them after lib.lua; has no KEYS or ARGV of its own.
-- A row's `rev`. The store writes it as the last field, which spares the decoding of all the others.
local function revision(row) return string.match(row, '"rev":(%d+)}$') or tostring(cjson.decode(row).rev) end

-- How the phase stands once the counts have changed by `delta`; a change that moves no count closes nothing.
-- The same lines as outcomeOf() in shared/rotation/rows.ts; test/redis/script-writes.test.ts holds them against each other.
local function outcome_after(job, delta)
  local moved, t = false, {}
  for _, by in pairs(delta) do moved = moved or by ~= 0 end
  if not moved then return 'open' end
  local counts = redis.call('HMGET', job, 't_pending', 't_open', 't_failed', 't_proven')
  for n, key in ipairs({'pending', 'open', 'failed', 'proven'}) do t[key] = (counts[n] or 0) + (delta[key] or 0) end
  if t.open > 0 then return 'open' end
  if t.failed == 0 and t.pending > 0 then return 'wave' end
  if t.failed == 0 and t.proven > 0 then return 'all' end
  return (t.proven > 0 or t.pending > 0) and 'some' or 'none'
end
