-- Lets the oldest segments leave: their seals give way to one stub, their events go. Never one with an event of an open job.
-- KEYS 1 seals  2 events  3 open  4 calls
-- ARGV 1 JSON {commit_id, first (SHA-1 of the oldest seal), leave (how many seals), stub, min_id (the first event that stays), jobs}
-- Returns {0} gone, now or by an earlier sending of this call · {-2} another oldest seal · {-4, job} a job of theirs is open
local a = cjson.decode(ARGV[1])
if answered(KEYS[4], 'seals', a.commit_id) then return {0} end
local first = redis.call('LINDEX', KEYS[1], 0)
if not first or redis.sha1hex(first) ~= a.first then return {-2} end
for _, job in ipairs(a.jobs) do
  if redis.call('SISMEMBER', KEYS[3], job) == 1 then return {-4, job} end
end
redis.call('LTRIM', KEYS[1], a.leave, -1)
redis.call('LPUSH', KEYS[1], a.stub)
redis.call('XTRIM', KEYS[2], 'MINID', a.min_id)
remember(KEYS[4], 'seals', a.commit_id, '')
return {0}
