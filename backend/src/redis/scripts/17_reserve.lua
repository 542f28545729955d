-- Sets the price of a call aside in all of its purses, or in none.
-- KEYS: reservations, by when they lapse; what they hold; what is set aside, by purse; what the call was booked with; what
--       the keys of days start with.
-- ARGV: the call, its price, for how many ms it is set aside, then for each purse: its name, what it may spend or ''.
-- Gives 0, or the number of the purse that has not enough; and what that has spent and set aside.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, call in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
  local held = redis.call('HGET', KEYS[2], call)
  if held then
    held = cmsgpack.unpack(held)
    for n = 2, #held do
      local left = redis.call('HINCRBY', KEYS[3], held[n], string.format('%.0f', -held[1]))
      if left <= 0 then redis.call('HDEL', KEYS[3], held[n]) end
    end
    redis.call('HDEL', KEYS[2], call)
  end
  redis.call('ZREM', KEYS[1], call)
end

local call, price = ARGV[1], tonumber(ARGV[2])
-- What is booked needs no reservation any more: the answer to an earlier try was lost.
if redis.call('EXISTS', KEYS[4]) == 1 then return {0, '0'} end
local till = now + tonumber(ARGV[3])
if redis.call('HEXISTS', KEYS[2], call) == 1 then
  redis.call('ZADD', KEYS[1], 'GT', till, call)
  return {0, '0'}
end
local day = KEYS[5] .. string.format('%d', math.floor(now / 86400000))
local held = {price}
for n = 4, #ARGV, 2 do
  if ARGV[n + 1] ~= '' then
    local spent = tonumber(redis.call('HGET', day, 'spent/' .. ARGV[n]) or 0)
    local aside = tonumber(redis.call('HGET', KEYS[3], ARGV[n]) or 0)
    if spent + aside + price > tonumber(ARGV[n + 1]) then
      return {(n - 2) / 2, string.format('%.0f', spent + aside)}
    end
  end
  held[#held + 1] = ARGV[n]
end
for n = 2, #held do redis.call('HINCRBY', KEYS[3], held[n], ARGV[2]) end
redis.call('HSET', KEYS[2], call, cmsgpack.pack(held))
redis.call('ZADD', KEYS[1], till, call)
return {0, '0'}
