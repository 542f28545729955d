-- Keeps a shard for longer, or, for 0 ms, lets go of it.
-- KEYS: owner. ARGV: `|` and the epoch, for how many ms. Gives 1 to the owner, else 0.
local owner = redis.call('GET', KEYS[1]) or ''
if string.sub(owner, -#ARGV[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
