-- Says which keys of a provider are configured; what is known of others is forgotten.
-- KEYS: the conditions of the provider, its keys, the number of reliefs.
-- ARGV: what the names of keys start with, then the fingerprints.
local configured, is_new = {}, false
for n = 2, #ARGV do
  configured[ARGV[1] .. ARGV[n]] = true
  is_new = is_new or redis.call('SISMEMBER', KEYS[2], ARGV[n]) == 0
end
local all, is_bad, gone = redis.call('HGETALL', KEYS[1]), false, {}
for n = 1, #all, 2 do
  if string.sub(all[n], 1, #ARGV[1]) == ARGV[1] then
    is_bad = is_bad or string.sub(all[n + 1], 1, 1) == 'b'
    if not configured[all[n]] then gone[#gone + 1] = all[n] end
  end
end
for _, of in ipairs(gone) do redis.call('HDEL', KEYS[1], of) end
redis.call('DEL', KEYS[2])
for n = 2, #ARGV do redis.call('SADD', KEYS[2], ARGV[n]) end
if is_new and is_bad then redis.call('INCR', KEYS[3]) end
return 1
