-- Records that the attempt may change something until a time, before it does; or, when it knows how that ended, that it may no longer.
-- KEYS 1 job  2 claim  3 fence
-- ARGV 1 JSON {job_id, fence, until_ms ('0' closes the lease)}
-- Returns {0} · {-1} no such job · {-3} stale fence
local a = cjson.decode(ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
if redis.call('GET', KEYS[3]) ~= a.fence then return {-3} end
if redis.call('GET', KEYS[2]) ~= a.job_id then return {-3} end
local holder = a.until_ms == '0' and '' or a.fence
redis.call('HSET', KEYS[1], 'lease_fence', holder, 'lease_until', a.until_ms)
return {0}
