-- The processes that take part; those that said nothing for too long are removed. KEYS: the members.
-- Gives ids, each followed by what the process says of itself.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local all = redis.call('HGETALL', KEYS[1])
local found = {}
for n = 1, #all, 2 do
  local till, info = string.match(all[n + 1], '^(%d+)|(.*)$')
  if till and tonumber(till) > now then
    found[#found + 1] = all[n]
    found[#found + 1] = info
  else
    redis.call('HDEL', KEYS[1], all[n])
  end
end
return found
