-- The runs that are due, the most overdue first; entries of runs that are gone are removed.
-- KEYS: timers, and what the key of a run starts with. ARGV: now, how many at most.
-- Gives the runs and when the next one is due.
local limit = tonumber(ARGV[2])
local found
repeat
  found = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, limit)
  local gone = 0
  for _, run in ipairs(found) do
    if redis.call('EXISTS', KEYS[2] .. run) == 0 then
      redis.call('ZREM', KEYS[1], run)
      gone = gone + 1
    end
  end
until gone == 0
local next = redis.call('ZRANGE', KEYS[1], #found, #found, 'WITHSCORES')
return {found, next[2] or false}
