-- Makes somebody the owner of a shard that nobody else owns.
-- KEYS: owner, epoch. ARGV: the name, for how many ms. Gives the new epoch, or nothing.
local owner = redis.call('GET', KEYS[1])
if owner and string.match(owner, '^(.*)|%d+$') ~= ARGV[1] then return false end
local epoch = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. string.format('%d', epoch), 'PX', ARGV[2])
return epoch
