-- Raises the fence above everything that was seen of the credential outside, so that no attempt of before may write any more.
-- KEYS 1 fence  2 calls
-- ARGV 1 JSON {suffix, above}
-- Returns {0, fence} raised, now or by an earlier sending of this call
local a = cjson.decode(ARGV[1])
local before = answered(KEYS[2], 'commits', a.suffix)
if before then return {0, before} end
local counter = tonumber(string.match(redis.call('GET', KEYS[1]) or '0-', '^%d+'))
if counter < a.above then redis.call('SET', KEYS[1], string.format('%d-', a.above)) end
local fence = raise(KEYS[1], a.suffix)
remember(KEYS[2], 'commits', a.suffix, fence)
return {0, fence}
