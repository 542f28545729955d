-- Says that a process takes part. KEYS: the members. ARGV: its id, what it says of itself, for how many ms.
local time = redis.call('TIME')
local till = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', till) .. '|' .. ARGV[2])
return 1
