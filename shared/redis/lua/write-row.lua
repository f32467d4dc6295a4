-- Writes one row if nobody else did since it was read, counts it, and where that closes the phase moves the job.
-- KEYS 1 job  2 rows  3 claim  4 fence  5 events  6 seq  7 outbox  8 open  9 idem  10 alarms
-- ARGV 1 JSON {job_id, commit_id, consumer_id, version, fence ('' = an operator's), claim, rev, delta, tasks, fields (of the job,
--      always), moves (none = the row alone: {fields, events, tasks} of a job that the row's own step moves), alarm (none, or {at,
--      fresh, known}), closings (none = not at hand): outcome -> {fields, events, tasks, frees, close_ms}, wake}  2 row  3… events
-- Returns {0, outcome} applied, now or before · {-1} no such row · {-2} stale version · {-3} stale fence · {-6} the row moved
--         · {-7} it would close the phase: send it again with the closings
local a = cjson.decode(ARGV[1])
-- Remembered beside each row, so that many rows that end together do not push one another out. No consumer's id begins with ~.
local commits = '~' .. a.consumer_id
-- Redis does nothing else meanwhile and a fan-out calls this twice for each row, so each record is read and written at once.
local row = redis.call('HMGET', KEYS[2], a.consumer_id, commits)
local stored, calls = row[1], row[2]
if not stored then return {-1} end
local before = recalled(calls, a.commit_id)
if before then return {0, before} end
local job = redis.call('HMGET', KEYS[1], 'version', unpack(counts))
local holds = redis.call('MGET', KEYS[3], KEYS[4])
local version, claimant, fence = table.remove(job, 1), holds[1], holds[2]
if version ~= a.version then return {-2} end
if a.fence ~= '' and fence ~= a.fence then return {-3} end
if a.claim ~= 'none' and claimant ~= a.job_id then return {-3} end
if revision(stored) ~= a.rev then return {-6} end
local outcome, moved = outcome_after(job, a.delta)
if outcome ~= 'open' and not a.closings then return {-7} end
if #moved > 0 then redis.call('HSET', KEYS[1], unpack(moved)) end
set(KEYS[1], a.fields)
append(KEYS[5], KEYS[6], a.wake, ARGV, 3)
post(KEYS[7], a.tasks)
if a.moves then move(KEYS[1], KEYS[5], KEYS[6], KEYS[7], a.wake, a.moves) end
alarm(KEYS[10], a.job_id, a.alarm)
local closing = a.closings and a.closings[outcome]
if closing then
  move(KEYS[1], KEYS[5], KEYS[6], KEYS[7], a.wake, closing)
  alarm(KEYS[10], a.job_id, closing.alarm)
  if closing.frees then redis.call('DEL', KEYS[3]) end
  if closing.close_ms > 0 then close(KEYS[8], KEYS[9], a.job_id, closing.close_ms) end
end
redis.call('HSET', KEYS[2], a.consumer_id, ARGV[2], commits, remembering(calls, a.commit_id, outcome))
return {0, outcome}
