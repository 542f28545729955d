-- Whether the caller may try a key or a route.
-- KEYS: the conditions of its provider, who tries it.
-- ARGV: what it is of, a number that tells the caller from others, for how many ms nobody else may.
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local fitness, till = string.match(stored, '^(%a)|(%d+)|')
if fitness ~= 'b' then return 1 end
local time = redis.call('TIME')
if tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) < tonumber(till) then return 0 end
local who = redis.call('GET', KEYS[2])
if who then return who == ARGV[2] and 1 or 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
