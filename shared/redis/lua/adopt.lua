-- The claim of an adoption: taken before the vault is written, freed with the audit row after it. An adoption that died is taken over.
-- KEYS 1 claim  2 fence  3 events  4 seq  5 calls  6 adopted
-- ARGV 1 JSON {commit_id, claimant, step ('take' | 'free'), suffix, events, wake, auth_id (with 'free': the handle of what was adopted; '' = not known; none = leave it)}
-- Returns {0, fence ('' after free)} now or by an earlier sending of this call · {-4, claimant} somebody else holds the credential
local a = cjson.decode(ARGV[1])
local before = answered(KEYS[5], 'commits', a.commit_id)
if before then return {0, before} end
local claimant = redis.call('GET', KEYS[1])
local fence = ''
if a.step == 'take' then
  if claimant and string.sub(claimant, 1, 6) ~= 'adopt.' then return {-4, claimant} end
  redis.call('SET', KEYS[1], a.claimant)
  fence = raise(KEYS[2], a.suffix)
else
  if claimant ~= a.claimant then return {-4, claimant or ''} end
  redis.call('DEL', KEYS[1])
  if a.auth_id then redis.call('SET', KEYS[6], a.auth_id) end
end
append(KEYS[3], KEYS[4], a.wake, a.events, 1)
remember(KEYS[5], 'commits', a.commit_id, fence)
return {0, fence}
