-- Orders a silent job's work once more, under a new task id. Of several sweepers one succeeds.
-- KEYS 1 job  2 outbox
-- ARGV 1 JSON {commit_id, status_version, kick, task_id, task}
-- Returns {0} kicked, now or by an earlier sending of this call · {-1} no such job · {-2} the job moved, or somebody else kicked
local a = cjson.decode(ARGV[1])
local at = redis.call('HGET', KEYS[1], 'status_version')
if not at then return {-1} end
if answered(KEYS[1], 'commits', a.commit_id) then return {0} end
if at ~= a.status_version or (redis.call('HGET', KEYS[1], 'kick') or '0') ~= a.kick then return {-2} end
redis.call('HINCRBY', KEYS[1], 'kick', 1)
redis.call('HSET', KEYS[2], a.task_id, a.task)
remember(KEYS[1], 'commits', a.commit_id, '')
return {0}
