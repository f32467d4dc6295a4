-- Writes what became of an alarm on a channel, if nobody else did since it was read, and says so in the trail.
-- KEYS 1 receipts  2 events  3 seq
-- ARGV 1 JSON {channel, wake}  2 the receipt that was read ('' = none)  3 the new one, another than that  4… events
-- Returns {0} written, now or by an earlier sending of this call · {-6} somebody else wrote it meanwhile
local a = cjson.decode(ARGV[1])
local stored = redis.call('HGET', KEYS[1], a.channel) or ''
if stored == ARGV[3] then return {0} end
if stored ~= ARGV[2] then return {-6} end
redis.call('HSET', KEYS[1], a.channel, ARGV[3])
append(KEYS[2], KEYS[3], a.wake, ARGV, 4)
return {0}
