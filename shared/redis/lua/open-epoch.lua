-- Opens a new epoch in place of the one that the caller read: of many who saw the same loss one succeeds, the others learn its epoch.
-- KEYS 1 epoch
-- ARGV 1 JSON {from ('' = none), to}
-- Returns {0, epoch} opened, now or by an earlier sending of this call · {1, epoch} somebody else's, opened since
local a = cjson.decode(ARGV[1])
local present = redis.call('GET', KEYS[1]) or ''
if present == a.to then return {0, present} end
if present ~= a.from then return {1, present} end
redis.call('SET', KEYS[1], a.to)
return {0, a.to}
