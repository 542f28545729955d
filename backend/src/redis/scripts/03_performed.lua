-- Forgets effects that were performed, where the version is still the one that caused them.
-- KEYS: owner, dirty, then the key of each run. ARGV: `|` and the epoch, then the version of each run.
-- Gives 1; or, to who is not the owner, the owner.
local owner = redis.call('GET', KEYS[1]) or ''
local epoch = ARGV[1]
if string.sub(owner, -#epoch) ~= epoch then return owner end
local clean = {}
for n = 3, #KEYS do
  local stored = redis.call('HMGET', KEYS[n], 'v', 'live')
  if stored[1] == ARGV[n - 1] then
    clean[#clean + 1] = string.sub(KEYS[n], -32)
    -- The effects of a run that is not dirty count for nothing and are replaced by the next commit; there is none after
    -- the last.
    if stored[2] ~= '1' then redis.call('HDEL', KEYS[n], 'outbox') end
  end
end
if #clean > 0 then redis.call('SREM', KEYS[2], unpack(clean)) end
return 1
