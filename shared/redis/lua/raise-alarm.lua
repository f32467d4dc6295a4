-- Raises an alarm by itself, as no job's own write does: a drill.
-- KEYS 1 alarms  2 calls
-- ARGV 1 JSON {commit_id, id, at, fresh}  2 what kind it is, as members of JSON
-- Returns {0} raised, now or by an earlier sending of this call
local a = cjson.decode(ARGV[1])
if answered(KEYS[2], 'commits', a.commit_id) then return {0} end
raise_alarm(KEYS[1], a.id, a.at, a.fresh, ARGV[2])
remember(KEYS[2], 'commits', a.commit_id, '')
return {0}
