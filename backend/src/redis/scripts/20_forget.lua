-- Forgets what is known of a key or a route.
-- KEYS: the conditions of its provider, the number of reliefs, who tries it. ARGV: what it is of.
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[3])
if string.sub(stored, 1, 1) == 'b' then redis.call('INCR', KEYS[2]) end
return 1
