-- Hands what an operator typed over to the attempt that has the fence, and forgets it: whoever asks again, the same call sent
-- twice included, finds nothing. The attempt is noted in the same moment, for the value may come to lie in its slot.
-- KEYS 1 job  2 claim  3 fence  4 value
-- ARGV 1 JSON {job_id, fence}
-- Returns {0, sealed box ('' = none is there)} · {-1} no such job · {-3} stale fence, or not the claimant
local a = cjson.decode(ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
if redis.call('GET', KEYS[3]) ~= a.fence then return {-3} end
if redis.call('GET', KEYS[2]) ~= a.job_id then return {-3} end
local box = redis.call('GETDEL', KEYS[4])
if not box then return {0, ''} end
redis.call('HSET', KEYS[1], 'minted_fence', a.fence)
return {0, box}
