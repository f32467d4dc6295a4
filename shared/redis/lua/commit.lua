-- The one script that changes a job's status: checks, then record, events, tasks and version together.
-- KEYS 1 job  2 rows  3 claim  4 fence  5 events  6 seq  7 outbox  8 open  9 idem  10 the job that is preempted  11 its idem  12 alarms
-- ARGV 1 JSON {job_id, commit_id, version, fence ('' = not an attempt's), claim, raise ('' = no), fields,
--      rows: {id, rev that was read}, tasks, close_ms, wake, over (the claimant that 'take' may take from; '' = none), other (none, or
--      the job that is preempted: {job_id, version, fields, tasks, close_ms}), alarm (none, or {at, fresh, known})}  2… the rows, in that order, then the events
-- Returns {0} applied, now or by an earlier sending of this call · {-1} no such job · {-2} stale version, or a row moved
--         · {-3} stale fence · {-4, claimant} claimed by another
local a = cjson.decode(ARGV[1])
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return {-1} end
if answered(KEYS[1], 'commits', a.commit_id) then return {0} end
if version ~= a.version then return {-2} end
if a.fence ~= '' and redis.call('GET', KEYS[4]) ~= a.fence then return {-3} end
local claimant = redis.call('GET', KEYS[3])
if a.claim == 'take' and claimant and claimant ~= a.job_id and claimant ~= a.over then return {-4, claimant} end
if (a.claim == 'keep' or a.claim == 'free') and claimant ~= a.job_id then return {-3} end
-- Row tasks write without raising the version: what they wrote since the rows were read is not written over.
for _, row in ipairs(a.rows) do
  local stored = redis.call('HGET', KEYS[2], row[1])
  if not stored or revision(stored) ~= row[2] then return {-2} end
end
if a.other and redis.call('HGET', KEYS[10], 'version') ~= a.other.version then return {-2} end
if a.claim == 'take' then redis.call('SET', KEYS[3], a.job_id) end
if a.claim == 'free' then redis.call('DEL', KEYS[3]) end
if a.raise ~= '' then raise(KEYS[4], a.raise) end
set(KEYS[1], a.fields)
for n, row in ipairs(a.rows) do redis.call('HSET', KEYS[2], row[1], ARGV[n + 1]) end
append(KEYS[5], KEYS[6], a.wake, ARGV, #a.rows + 2)
post(KEYS[7], a.tasks)
alarm(KEYS[12], a.job_id, a.alarm)
if a.close_ms > 0 then close(KEYS[8], KEYS[9], a.job_id, a.close_ms) end
if a.other then
  set(KEYS[10], a.other.fields)
  post(KEYS[7], a.other.tasks)
  if a.other.close_ms > 0 then close(KEYS[8], KEYS[11], a.other.job_id, a.other.close_ms) end
end
remember(KEYS[1], 'commits', a.commit_id, '')
return {0}
