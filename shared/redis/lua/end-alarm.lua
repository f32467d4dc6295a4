-- Takes an alarm off the list that is over and told everywhere, unless it was raised again meanwhile; what it was stays with its receipts.
-- KEYS 1 alarms  2 receipts
-- ARGV 1 JSON {id, rev, keep_ms (0 = for good)}
-- Returns {0} off the list, now or by an earlier sending of this call · {-6} it was raised again
local a = cjson.decode(ARGV[1])
local stored = redis.call('HGET', KEYS[1], a.id)
if not stored then return {0} end
if cjson.decode(stored).rev ~= a.rev then return {-6} end
redis.call('HDEL', KEYS[1], a.id)
redis.call('HSET', KEYS[2], '~alarm', stored)
if a.keep_ms > 0 then redis.call('PEXPIRE', KEYS[2], a.keep_ms) end
return {0}
