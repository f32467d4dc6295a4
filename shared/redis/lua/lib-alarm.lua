-- How an alarm is raised: prepended to each script after lib-rows.lua; has no KEYS or ARGV of its own.
-- Raises the alarm `id` at `at` (ms), or brings a raised one up to date; `fresh` begins a new episode of it. `head`: what kind it
-- is, as members of JSON; nil for a leak. In the same moment as the row or the status that it speaks of, so that neither is without the other.
local function raise_alarm(alarms, id, at, fresh, head)
  local known = redis.call('HGET', alarms, id)
  local a = known and cjson.decode(known) or {episode = 0, rev = 0}
  if fresh or not known then a.episode = a.episode + 1 a.raised_at = at end
  local numbers = string.format('"episode":%d,"raised_at":%d,"rev":%d,"changed_at":%d', a.episode, a.raised_at, a.rev + 1, at)
  redis.call('HSET', alarms, id, '{' .. (head or '"kind":"leak"') .. ',' .. numbers .. '}')
end

-- As a change asks: {at, fresh, known (only where the alarm is raised already: that it is over is no alarm)}, or nothing.
local function alarm(alarms, id, asked)
  if not asked or (asked.known and redis.call('HEXISTS', alarms, id) == 0) then return end
  raise_alarm(alarms, id, asked.at, asked.fresh)
end
