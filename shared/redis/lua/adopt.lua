-- The claim of an adoption: taken before the vault is written, freed with the audit row after it. An adoption that died is taken over.
-- KEYS 1 claim  2 fence  3 events  4 seq
-- ARGV 1 JSON {claimant, step ('take' | 'free'), suffix, events, wake}
-- Returns {0, fence} · {-4, claimant} a job holds the credential
local a = cjson.decode(ARGV[1])
local claimant = redis.call('GET', KEYS[1])
if a.step == 'take' then
  if claimant and string.sub(claimant, 1, 6) ~= 'adopt.' then return {-4, claimant} end
  redis.call('SET', KEYS[1], a.claimant)
  return {0, raise(KEYS[2], a.suffix)}
end
if claimant ~= a.claimant then return {-4, claimant or ''} end
redis.call('DEL', KEYS[1])
append(KEYS[3], KEYS[4], a.wake, a.events)
return {0, ''}
