-- What the scripts share: prepended to each of them; has no KEYS or ARGV of its own.
-- What a call of this id was answered before, from what is remembered of calls; nil where it is new: a repeat is answered the same and does nothing.
local function recalled(calls, id)
  local _, last = string.find(calls or '', ' ' .. id .. '=', 1, true)
  return last and string.match(calls, '^%S*', last + 1)
end

-- The last dozen are enough: a call is repeated when its connection comes back, or never.
local function remembering(calls, id, answer) return string.sub((calls or '') .. ' ' .. id .. '=' .. answer, -320) end
local function answered(key, field, id) return recalled(redis.call('HGET', key, field), id) end
local function remember(key, field, id, answer)
  redis.call('HSET', key, field, remembering(redis.call('HGET', key, field), id, answer))
end

-- Appends the rows from a place on to the credential's stream, with dense numbers, and wakes those who follow it.
local function append(events, seq, wake, rows, from)
  if from > #rows then return end
  local last = redis.call('INCRBY', seq, #rows - from + 1)
  for n = from, #rows do redis.call('XADD', events, last - #rows + n .. '-0', 'row', rows[n]) end
  redis.call('PUBLISH', wake, last)
end

local function post(outbox, tasks)
  for _, task in ipairs(tasks) do redis.call('HSET', outbox, task[1], task[2]) end
end

local function set(key, fields) for field, value in pairs(fields) do redis.call('HSET', key, field, value) end end

-- The job is over: the sweeper looks no more, and its idempotency key begins to expire.
local function close(open, idem, id, ms) redis.call('SREM', open, id) redis.call('PEXPIRE', idem, ms) end

-- The next attempt's fence; the counter belongs to the credential and never restarts.
local function raise(fence, suffix)
  local counter = string.match(redis.call('GET', fence) or '0-', '^%d+')
  local next = string.format('%d-%s', tonumber(counter) + 1, suffix)
  redis.call('SET', fence, next)
  return next
end
