-- Appends a seal to the head that the caller read, and to no other: of many sealers one succeeds. A note of a loss moves the numbers on.
-- KEYS 1 seals  2 seq  3 calls
-- ARGV 1 JSON {commit_id, head (SHA-1 of the last seal, '' = none), seal, seq_from ('' = leave seq alone), seq_to}
-- Returns {0} appended, now or by an earlier sending of this call · {-2} another head, or another seq
local a = cjson.decode(ARGV[1])
if answered(KEYS[3], 'seals', a.commit_id) then return {0} end
local last = redis.call('LINDEX', KEYS[1], -1)
if (last and redis.sha1hex(last) or '') ~= a.head then return {-2} end
if a.seq_from ~= '' then
  if (redis.call('GET', KEYS[2]) or '0') ~= a.seq_from then return {-2} end
  redis.call('SET', KEYS[2], a.seq_to)
end
redis.call('RPUSH', KEYS[1], a.seal)
remember(KEYS[3], 'seals', a.commit_id, '')
return {0}
