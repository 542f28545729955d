-- Puts what is known of a key or a route in the place of what was read.
-- KEYS: the conditions of its provider, the number of reliefs, who tries it.
-- ARGV: what it is of, what was read or '', what is to be, `1` if it got better.
-- Gives 1 if it is so, now or by an earlier try of the same write; and what is there.
local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored == ARGV[3] then return {1, stored} end
if stored ~= ARGV[2] then return {0, stored} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == '1' then redis.call('INCR', KEYS[2]) end
-- Whoever tried it has said how that went.
local before, after = string.match(stored, '^%a|%d+|'), string.match(ARGV[3], '^%a|%d+|')
if before ~= after then redis.call('DEL', KEYS[3]) end
return {1, ARGV[3]}
