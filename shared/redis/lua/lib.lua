-- What the scripts below share. Prepended to each of them; has no KEYS or ARGV of its own.

-- Whether the commit was applied before: the job remembers its last ones.
local function applied(job, commit_id)
  local commits = redis.call('HGET', job, 'commits') or ''
  return string.find(commits, commit_id, 1, true) ~= nil
end

local function remember(job, commit_id)
  local commits = (redis.call('HGET', job, 'commits') or '') .. ' ' .. commit_id
  redis.call('HSET', job, 'commits', string.sub(commits, -8 * (#commit_id + 1)))
end

-- Appends to the credential's stream with dense numbers and wakes those who follow it.
local function append(events, seq, wake, rows)
  for _, row in ipairs(rows) do
    redis.call('XADD', events, redis.call('INCR', seq) .. '-0', 'row', row)
  end
  if #rows > 0 then redis.call('PUBLISH', wake, redis.call('GET', seq)) end
end

local function post(outbox, tasks)
  for _, task in ipairs(tasks) do redis.call('HSET', outbox, task[1], task[2]) end
end

local function set(key, fields)
  for field, value in pairs(fields) do redis.call('HSET', key, field, value) end
end

-- The next attempt's fence; the counter belongs to the credential and never restarts.
local function raise(fence, suffix)
  local counter = string.match(redis.call('GET', fence) or '0-', '^%d+')
  local next = string.format('%d-%s', tonumber(counter) + 1, suffix)
  redis.call('SET', fence, next)
  return next
end
