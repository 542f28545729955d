-- Puts a command behind those of the inbox, unless its key is there.
-- KEYS: inbox, its counter. ARGV: the key, the command.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
local position = redis.call('INCR', KEYS[2])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', position) .. '|' .. ARGV[2])
return 1
