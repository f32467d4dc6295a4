-- Appends audit rows that belong to no job (a value read by a person).
-- KEYS 1 events  2 seq
-- ARGV 1 JSON {events, wake}
-- Returns {0}
local a = cjson.decode(ARGV[1])
append(KEYS[1], KEYS[2], a.wake, a.events)
return {0}
