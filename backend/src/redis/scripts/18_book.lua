-- Books what a call cost and ends its reservation.
-- KEYS: reservations, by when they lapse; what they hold; what is set aside, by purse; what the call was booked with; what
--       the keys of days start with.
-- ARGV: the call, its cost, for how many ms that is remembered, for how many ms a day is, then the purses.
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held then
  held = cmsgpack.unpack(held)
  for n = 2, #held do
    local left = redis.call('HINCRBY', KEYS[3], held[n], string.format('%.0f', -held[1]))
    if left <= 0 then redis.call('HDEL', KEYS[3], held[n]) end
  end
  redis.call('HDEL', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[1], ARGV[1])
end
local booked = redis.call('GET', KEYS[4])
local more = tonumber(ARGV[2]) - tonumber(booked or 0)
if more <= 0 then return 0 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local day = KEYS[5] .. string.format('%d', math.floor(now / 86400000))
for n = 5, #ARGV do
  redis.call('HINCRBY', day, 'spent/' .. ARGV[n], string.format('%.0f', more))
  redis.call('HINCRBY', day, 'calls/' .. ARGV[n], booked and 0 or 1)
end
redis.call('PEXPIRE', day, ARGV[4])
redis.call('SET', KEYS[4], ARGV[2], 'PX', ARGV[3])
return 1
