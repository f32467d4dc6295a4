-- Makes the caller the attempt that may write for the job. An attempt before it that did not report back leaves a time until
-- which nothing may be changed: the end of its lease and the vendor's longest late application.
-- KEYS 1 job  2 claim  3 fence
-- ARGV 1 JSON {job_id, status_version, suffix, late_ms}
-- Returns {0, fence, quiet_after} begun, now or by an earlier sending of this call · {-1} · {-2} stale version · {-3} not the claimant
local a = cjson.decode(ARGV[1])
local at = redis.call('HGET', KEYS[1], 'status_version')
if not at then return {-1} end
local begun = answered(KEYS[1], 'commits', a.suffix)
if begun then
  local counter, quiet_after = string.match(begun, '(%d+):(%d+)')
  return {0, counter .. '-' .. a.suffix, tonumber(quiet_after)}
end
if at ~= a.status_version then return {-2} end
if redis.call('GET', KEYS[2]) ~= a.job_id then return {-3} end
local quiet = tonumber(redis.call('HGET', KEYS[1], 'quiet_after') or '0')
if (redis.call('HGET', KEYS[1], 'lease_fence') or '') ~= '' then
  quiet = math.max(quiet, tonumber(redis.call('HGET', KEYS[1], 'lease_until')) + a.late_ms)
  redis.call('HSET', KEYS[1], 'quiet_after', string.format('%d', quiet))
end
local fence = raise(KEYS[3], a.suffix)
redis.call('HSET', KEYS[1], 'lease_fence', '', 'lease_until', '0')
remember(KEYS[1], 'commits', a.suffix, string.format('%s:%d', string.match(fence, '^%d+'), quiet))
return {0, fence, quiet}
