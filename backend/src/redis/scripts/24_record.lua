-- Writes a record whose version is the one given.
-- KEYS: the records of its kind. ARGV: its name, the version or 0 for a new one, the body.
-- Gives 1 and the version now; or 0 and the version in the store, 0 when there is none.
local name, version, body = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local stored = redis.call('HGET', KEYS[1], name)
local current = stored and tonumber(string.match(stored, '^%d+')) or 0
local written = string.format('%d', version + 1) .. '|' .. body
if current == version then
  redis.call('HSET', KEYS[1], name, written)
  return {1, version + 1}
elseif stored == written then
  -- It was written before, and its reply was lost.
  return {1, current}
end
return {0, current}
