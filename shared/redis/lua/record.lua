-- Appends audit rows that belong to no job (a value read by a person).
-- KEYS 1 events  2 seq  3 calls
-- ARGV 1 JSON {commit_id, events, wake}
-- Returns {0} appended, now or by an earlier sending of this call
local a = cjson.decode(ARGV[1])
if answered(KEYS[3], 'commits', a.commit_id) then return {0} end
append(KEYS[1], KEYS[2], a.wake, a.events, 1)
remember(KEYS[3], 'commits', a.commit_id, '')
return {0}
