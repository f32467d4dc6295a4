-- What the scripts share: prepended to each of them; has no KEYS or ARGV of its own.
-- What was answered to a call of this id before, or nil where it is new: a repeat is answered the same and does nothing.
local function answered(key, field, id)
  local calls = redis.call('HGET', key, field) or ''
  local _, last = string.find(calls, ' ' .. id .. '=', 1, true)
  return last and string.match(calls, '^%S*', last + 1)
end

-- The last dozen are enough: a call is repeated when its connection comes back, or never.
local function remember(key, field, id, answer)
  local calls = (redis.call('HGET', key, field) or '') .. ' ' .. id .. '=' .. answer
  redis.call('HSET', key, field, string.sub(calls, -320))
end

-- Appends the rows from a place on to the credential's stream, with dense numbers, and wakes those who follow it.
local function append(events, seq, wake, rows, from)
  local last
  for n = from, #rows do
    last = redis.call('INCR', seq)
    redis.call('XADD', events, last .. '-0', 'row', rows[n])
  end
  if last then redis.call('PUBLISH', wake, last) end
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
