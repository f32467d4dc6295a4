-- Gives one process a duty for a while, or takes it back from it. A convenience, no claim: who holds it may be late.
-- KEYS 1 hold
-- ARGV 1 JSON {holder, ms (0 lets go)}
-- Returns {0} held, or let go, now or by an earlier sending of this call · {-4, holder} held by another
local a = cjson.decode(ARGV[1])
local holder = redis.call('GET', KEYS[1])
if a.ms == 0 then
  if holder == a.holder then redis.call('DEL', KEYS[1]) end
  return {0}
end
if holder and holder ~= a.holder then return {-4, holder} end
redis.call('SET', KEYS[1], a.holder, 'PX', a.ms)
return {0}
