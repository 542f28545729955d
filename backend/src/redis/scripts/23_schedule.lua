-- Writes a schedule whose version is the one given; without a body, removes it whatever its version is.
-- KEYS: schedules, their timers. ARGV: its name, the version or 0 for a new one, due or '', the body or ''.
-- Gives 1 and the version now; or 0 and the version in the store, 0 when there is none.
local name, version, due, body = unpack(ARGV)
if body == '' then
  redis.call('ZREM', KEYS[2], name)
  return {redis.call('HDEL', KEYS[1], name), 0}
end
local rest = '|' .. due .. '|' .. body
local stored = redis.call('HGET', KEYS[1], name)
local current = stored and tonumber(string.match(stored, '^%d+')) or 0
local next
if current == tonumber(version) then
  if current == 0 then
    -- No version of one that was removed comes again.
    local time = redis.call('TIME')
    next = tonumber(time[1]) * 1000000 + tonumber(time[2])
  else
    next = current + 1
  end
elseif stored and (version == '0' or current == tonumber(version) + 1)
  and string.sub(stored, -#rest) == rest and #stored == #rest + #string.format('%d', current) then
  -- It was written before, and its reply was lost.
  return {1, current}
else
  return {0, current}
end
redis.call('HSET', KEYS[1], name, string.format('%d', next) .. rest)
if due == '' then
  redis.call('ZREM', KEYS[2], name)
else
  redis.call('ZADD', KEYS[2], due, name)
end
return {1, next}
