-- Creates a job with its rows and first event, unless the idempotency key already names one.
-- KEYS 1 job  2 rows  3 jobs  4 open  5 events  6 seq  7 idem
-- ARGV 1 JSON {job_id, now, body_hash, fields, rows, events, wake}
-- Returns {0, job id} created or created by this very call · {1, job id} the key's earlier job · {-5} other body
local a = cjson.decode(ARGV[1])
local known = redis.call('GET', KEYS[7])
if known then
  local hash, job_id = string.match(known, '^(%S+) (%S+)$')
  if hash ~= a.body_hash then return {-5} end
  if job_id ~= a.job_id then return {1, job_id} end
  return {0, job_id}
end
redis.call('SET', KEYS[7], a.body_hash .. ' ' .. a.job_id)
set(KEYS[1], a.fields)
for _, row in ipairs(a.rows) do redis.call('HSET', KEYS[2], row[1], row[2]) end
redis.call('ZADD', KEYS[3], a.now, a.job_id)
redis.call('SADD', KEYS[4], a.job_id)
append(KEYS[5], KEYS[6], a.wake, a.events, 1)
return {0, a.job_id}
